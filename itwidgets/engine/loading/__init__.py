"""From a name to an engine."""
