"""Trading Signals Service: bars in, a policy decides, positions are tracked, every step is durable and streamed."""

__version__ = "0.1.0"
