"""Policies in ONNX files: reading, checking and running them, and building them from weights."""
