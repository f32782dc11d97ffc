"""Other servers of the same database, reached over gRPC."""
