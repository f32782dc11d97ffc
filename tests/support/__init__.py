"""Shared helpers of tests: running programs, clients, bars, tables and deadlines."""
