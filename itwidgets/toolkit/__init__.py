"""What the modules of the toolkit API are made of; the doors to it are the three beside this package."""
