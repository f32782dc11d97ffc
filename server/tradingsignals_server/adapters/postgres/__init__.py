"""PostgreSQL: the embedded server, the connection, the schema and the store."""
