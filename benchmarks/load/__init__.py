"""Loads: a number of clients, each with a connection of its own, that call again as soon as they are answered."""

from .clients import Load, LoadFailed, counted, grpc_load, load_figure, rest_load

__all__ = ["Load", "LoadFailed", "counted", "grpc_load", "load_figure", "rest_load"]
