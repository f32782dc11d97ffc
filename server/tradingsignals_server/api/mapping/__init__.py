"""Values of the domain to messages, and messages to values."""
