"""The model: forward calls, the output head, and what makes them fast."""
