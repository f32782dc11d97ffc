"""Trading Signals Service: bars in, a policy decides, positions are tracked, every step is durable and streamed."""

import os

# Read by gRPC's core when it is first used: it is not to print to the terminal in its own format, nor to prepare for
# forks, since the children we start run other programs at once.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# ONNX Runtime would otherwise report its use to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
