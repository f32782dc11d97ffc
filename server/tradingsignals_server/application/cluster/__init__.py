"""Several servers on one database: who owns a symbol, and how work gets to its owner."""
