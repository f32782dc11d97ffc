"""Multi-server on one database: which server owns a symbol, and how bars and calls reach the owner."""
