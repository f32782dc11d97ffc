"""Envoy: its configuration and its process."""
