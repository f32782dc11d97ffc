"""The process of followers that `followers` starts: python -m benchmarks.load.follow.

It reads requests from standard input, a JSON object in each line, and writes responses to standard output in the same
form. The first request names the service to follow; its response is written when every follower is subscribed. Each
later one names the events to await; it has a response at once, and another when all followers have them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any

import uvloop

from . import frames
from .limits import raise_file_limit
from .readers import Http2Followers, counting, http1_follower
from .tally import Tally

_OPENING_AT_ONCE = 100


def _write(response: dict[str, Any]) -> None:
    print(json.dumps(response), flush=True)


async def _connect(options: dict[str, Any], tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    port, path, request = options["port"], options["path"], bytes.fromhex(options["request"])
    make: Callable[[int], asyncio.BaseProtocol]
    followers = range(options["followers"])
    if options["kind"] == "grpc":
        headers = frames.header_block(
            {
                ":method": "POST",
                ":scheme": "http",
                ":path": path,
                ":authority": f"127.0.0.1:{port}",
                "content-type": "application/grpc",
                "te": "trailers",
            }
        )
        count, step = counting(path, tally, options["after"]), options["streams_per_connection"]

        def make(start: int) -> asyncio.BaseProtocol:
            some = followers[start : start + step]
            return Http2Followers(tally, some, headers, request, count, stalls=options["stalls"])

    else:
        make, step = http1_follower(options["kind"], path, request, port, tally, stalls=options["stalls"]), 1
    starts = range(0, len(followers), step)
    for at in range(0, len(starts), _OPENING_AT_ONCE):
        some = starts[at : at + _OPENING_AT_ONCE]
        await asyncio.gather(*(loop.create_connection(partial(make, start), "127.0.0.1", port) for start in some))


async def _follow() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    _write({"ready": True})
    options = json.loads(await commands.readline())
    changed = asyncio.Event()
    tally = Tally(options["followers"], changed.set)
    gc.freeze()
    gc.disable()  # a collection would be measured as the server's delay
    cpu_started = process_time()
    if options["events"]:
        tally.expect(options["events"], each=False)
    await _connect(options, tally)
    while tally.subscribed < tally.followers and not tally.ended:
        await changed.wait()
        changed.clear()
    _write({"subscribed": tally.subscribed, "ended": tally.ended[:3]})
    if options["events"]:
        await _received(tally, options["events"], changed, cpu_started)
    while line := await commands.readline():
        command = json.loads(line)
        tally.expect(command["events"], each=command["each"])
        cpu_started = process_time()
        _write({"awaiting": command["events"]})
        await _received(tally, command["events"], changed, cpu_started)


async def _received(tally: Tally, events: int, changed: asyncio.Event, cpu_started: float) -> None:
    """Wait until every follower has the awaited events, and write the result."""
    while not tally.finished and not tally.ended:
        await changed.wait()
        changed.clear()
    _write(
        {
            "last": tally.last,
            "bytes": tally.bytes,
            "cpu_seconds": process_time() - cpu_started,
            "arrivals": tally.arrivals,
            "too_many": sum(received > events for received in tally.received),
            "ended": tally.ended[:3],
        }
    )


if __name__ == "__main__":
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_follow())
