"""What integration and end-to-end tests share: running programs, clients for them, bars, tables, and deadlines."""
