"""What trading signals are: pure, synchronous, without input or output. Nothing here knows of gRPC, SQL or ONNX."""
