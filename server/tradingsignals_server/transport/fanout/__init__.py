"""From one log to many followers, with one write for each connection."""
