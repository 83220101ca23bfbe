"""Sessions: what a user holds of a token tree."""
