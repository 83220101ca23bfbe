"""Scoring given texts: every token of each, in batches, without a token tree."""
