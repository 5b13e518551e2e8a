"""Calls of other services over HTTP: what they are called, where they go, and what is sent along."""
