"""The service's contract served: its methods, its streams, and how values become messages."""
