"""What a request, a record and a scrape cost, beside the peers, in one run: `make bench`."""
