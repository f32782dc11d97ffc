"""One connection of HTTP/2, the server's side."""
