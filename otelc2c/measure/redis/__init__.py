"""Redis commands: their names, what is said of them, and who measures them."""
