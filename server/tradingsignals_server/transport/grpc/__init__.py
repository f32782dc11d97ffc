"""Calls of gRPC: status, metadata, messages, and the server on grpc.aio."""
