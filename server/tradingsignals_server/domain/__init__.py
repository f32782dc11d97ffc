"""Values and rules of trading: pure, synchronous, without input or output. Nothing here imports gRPC, SQL or ONNX."""
