"""The streaming methods over HTTP/2 framed by ourselves, for many followers at once; docs/adr/0010 has the reasons."""
