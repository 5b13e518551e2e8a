"""Who times: requests, views, renderings, and the servers that run them."""
