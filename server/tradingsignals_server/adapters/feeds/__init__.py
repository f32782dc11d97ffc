"""Feeds that run inside the server, and the reader of bar files."""
