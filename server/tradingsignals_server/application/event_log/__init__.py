"""The event log: its tail in memory, its pages, its followers, its retention."""
