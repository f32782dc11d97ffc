"""Serve the older design: python -m benchmarks.peer PORT MODEL DSN VARIANT."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn

from .app import make_app

if __name__ == "__main__":
    port, model, dsn, variant = sys.argv[1:]
    uvicorn.run(
        make_app(Path(model), dsn, variant),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
    )
