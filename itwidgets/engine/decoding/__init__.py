"""Growing a tree: tokens that pass through the model become rows."""
