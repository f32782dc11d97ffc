"""The edge: Envoy before the gRPC server, its configuration and its process."""
