"""The outcome ledger as a durable follower of the log."""
