"""SQL statements: their names, their text without literals, and who measures them."""
