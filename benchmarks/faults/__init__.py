"""Faults under load: what callers and followers see of each, for how long, and whether anything is lost.

    python -m benchmarks.faults --list
    python -m benchmarks.faults primary-lost

Each fault has a service of its own, in a temporary folder and on free ports. While it lasts, bars are published,
followers follow, and /health is asked.
"""
