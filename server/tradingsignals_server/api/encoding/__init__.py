"""Responses as bytes: protobuf, JSON, server-sent events, lines of JSON."""
