"""Processes of ours, and the ports they listen on."""
