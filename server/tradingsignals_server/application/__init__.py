"""What the service does with the domain: one writer that commits, many followers, and the ports it needs filled."""
