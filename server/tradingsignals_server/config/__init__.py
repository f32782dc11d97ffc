"""Settings: their declaration, and the only reader of the environment."""
