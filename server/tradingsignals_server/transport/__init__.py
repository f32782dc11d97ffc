"""HTTP/2 and gRPC, which know nothing of trading."""
