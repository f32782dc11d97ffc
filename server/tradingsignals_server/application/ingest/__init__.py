"""Bars and requests in: commands, the one writer, and the batches that it commits."""
