"""Keys and values: the cache that the model writes to, and what is held of other branches."""
