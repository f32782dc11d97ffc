"""Statistics of trades and of an equity curve: pure functions, each figure with its definition, its n and its interval.

`summary.performance_of` makes all of them; `definitions` says what each is.
"""
