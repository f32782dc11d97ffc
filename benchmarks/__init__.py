"""Benchmarks: what the service does in a second, and how long it takes, beside what it is held against.

    python -m benchmarks                    everything, in some twenty minutes
    python -m benchmarks generate history   these alone
    python -m benchmarks streams            all that is about streams, followers and several writers, in some twelve
    python -m benchmarks --quick            a smoke test in a few minutes; its figures mean nothing

A table of all figures is printed, and one of the ratios; build/benchmarks.svg is a picture of these, and
build/benchmarks.md has all of it to paste.

How figures are taken, all of them:

- Against the real thing: `tradingsignals up` as a process of its own, with Envoy, and a PostgreSQL that keeps its
  promises (fsync on). Nothing is mocked.
- A figure is the median of three runs or more, and the lowest and highest run stand beside it. Machines drift, so
  what is compared is measured in turn (A B A B), and the ratio is the median of the ratios of neighbours.
- Nothing is pinned to a core: the load generator, Envoy, PostgreSQL and the server share the machine, as does the older
  design with its load generator.
- A load generator says how busy it was: the share of one core that it took. `load_generator` and `stream_generator`
  measure what they can do against servers that do nothing.
- Followers are told to the event: that each of them had all of it, and none of it twice, is checked in every run.
- Nothing here passes or fails by its timing. A target that is missed is printed as missed.

`peer/` is the older design that this service is held against. It runs in a Python of its own, which is made with

    python3 -m venv build/peer && build/peer/bin/pip install -r benchmarks/peer/requirements.txt

Without it, or another one named with --peer, the comparisons are left out.
"""

import os

# Processes are started while gRPC runs in this one.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
