"""Benchmarks: throughput and latency of the service, compared with an older design.

    python -m benchmarks                    all of them, in some forty minutes
    python -m benchmarks generate history   only these
    python -m benchmarks streams            streams, followers and concurrent writers, in some twelve minutes
    python -m benchmarks --short            shorter loads and fewer bars
    python -m benchmarks --quick            a smoke test in a few minutes; its figures mean nothing
    python -m benchmarks --against COMMIT   that commit and this tree in turn, with the ratio of every figure

The command prints a table of all figures and one of the ratios, draws the ratios in build/benchmarks.svg, and writes
all tables to build/benchmarks.md. The main table has three columns: the older design as it was (volatile), the older
design made durable, and ours.

How figures are measured:

- Nothing is mocked: `tradingsignals up` runs as a process of its own, with Envoy and a PostgreSQL with fsync on.
- A figure is the median of three runs or more, printed with the lowest and highest run. Machines drift, so
  all sides of a comparison are measured in turn (A B A B), and the ratio is the median of the ratios of neighbours.
- Nothing is pinned to a core: the load generator, Envoy, PostgreSQL and the server share the machine, as does the older
  design with its load generator.
- Figures in "ms CPU" are processor time of the server for one call, bar or event, with that of Envoy and of PostgreSQL
  (all of its processes) beside it. They depend on other load of the machine much less than the others.
- A load generator reports how busy it was: the share of one core that it took. `load_generator` and `stream_generator`
  measure its limits against servers that do nothing.
- Each run checks that every follower received every event exactly once.
- No benchmark passes or fails by its timing. A missed target is printed as missed.

`peer/` is the older design that the service is compared with. It runs in a Python of its own:

    python3 -m venv build/peer && build/peer/bin/pip install -r benchmarks/peer/requirements.txt

Without it, or another one named with --peer, the comparisons are left out.
"""

import os

# This process starts others while gRPC runs in it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
