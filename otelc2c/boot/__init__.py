"""Before the application exists: what is switched on, in which order."""
