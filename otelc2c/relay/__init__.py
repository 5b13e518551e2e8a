"""The process that reads what the workers wrote, and sends it."""
