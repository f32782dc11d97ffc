"""An HTTP/2 server (RFC 9113): a connection without I/O, and an asyncio protocol that drives it."""
