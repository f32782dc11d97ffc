"""`tradingsignals doctor`: checks of a set-up before the service starts on it, or beside it."""
