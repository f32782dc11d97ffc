"""Admits the calls of both servers."""
