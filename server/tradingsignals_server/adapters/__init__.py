"""The outside world behind the application's ports: PostgreSQL, ONNX Runtime, feeds, Envoy."""
