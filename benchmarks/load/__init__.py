"""Load generators: clients that call again after each response, and followers that count what they receive."""

from .clients import Load, LoadFailed, counted, grpc_load, load_figure, rest_load
from .followers import (
    STREAMS_PER_CONNECTION,
    Delivery,
    Followers,
    Way,
    caught_up,
    following,
    p50_p99,
    to_each,
    to_the_last,
)

__all__ = [
    "STREAMS_PER_CONNECTION",
    "Delivery",
    "Followers",
    "Load",
    "LoadFailed",
    "Way",
    "caught_up",
    "counted",
    "following",
    "grpc_load",
    "load_figure",
    "p50_p99",
    "rest_load",
    "to_each",
    "to_the_last",
]
