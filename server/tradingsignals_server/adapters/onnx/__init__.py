"""Policies in ONNX files: reading and checking them, running them, and building them from weights."""
