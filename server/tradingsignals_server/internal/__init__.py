"""Generated messages of the internal services (`protos/internal`): what servers and the edge ask of a server."""
