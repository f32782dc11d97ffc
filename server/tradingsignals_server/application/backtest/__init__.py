"""Backtests: the steps of the engine over bars in memory, without a store, and what is recorded of them."""
