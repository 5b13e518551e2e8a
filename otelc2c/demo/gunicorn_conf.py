"""gunicorn's settings for the demonstration; names that an older gunicorn does not know are ignored."""

worker_class = "gthread"
workers = 3
threads = 2
control_socket_disable = True
"""Its default place is one for all gunicorns of a user."""
