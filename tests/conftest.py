"""What every test needs: hypothesis without a clock, and the same examples on every machine."""

from __future__ import annotations

from hypothesis import settings

# Tests never assert timings, so no example has a deadline.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, max_examples=60)
# For a longer look, with new examples each time: pytest --hypothesis-profile=explore
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("repeatable")
