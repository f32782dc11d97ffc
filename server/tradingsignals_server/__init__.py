"""Trading Signals Service: it decides on bars with a policy, tracks positions, and stores and streams every step."""

import os

# The gRPC core reads these at first use. It must not print to the terminal in its own format, and needs no support for
# forks, because child processes execute another program at once.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# ONNX Runtime would otherwise send usage data to its vendor.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# The arrays here are small. More threads only spin, which made statistics take four times the processor time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.2.0"
