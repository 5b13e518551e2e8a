"""Who times what a request does."""
