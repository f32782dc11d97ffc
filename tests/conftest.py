"""What every test needs: hypothesis without a clock, and the same examples on every machine."""

from __future__ import annotations

from hypothesis import settings

# Before any test imports grpc: it tells gRPC to stay out of the forks that Envoy and PostgreSQL are started by, which
# otherwise abort now and then while gRPC is at work.
import tradingsignals_server  # noqa: F401

# Tests never assert timings, so no example has a deadline.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, max_examples=60)
# What `make test-fast` takes: fewer examples of each property.
settings.register_profile("fast", settings.get_profile("repeatable"), max_examples=10)
# For a longer look, with new examples each time: pytest --hypothesis-profile=explore
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("repeatable")
