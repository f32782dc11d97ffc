"""Delivers the event log to endpoints elsewhere: each a durable follower, with its cursor in the database."""
