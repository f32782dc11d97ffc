"""The load generator.

One client is one connection with one call in progress: it sends the same bytes again as soon as the response is
complete. It parses only status and length (HTTP/1.1) or frames (HTTP/2) of a response, which costs
some ten microseconds a call, and it reports its share of a core. `load_generator` measures its upper limit.
"""

from __future__ import annotations

import asyncio
import gc
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from statistics import median
from typing import Any

from ..measure import Figure, percentile
from . import frames

WARM_SECONDS = 0.2
"""Seconds of calls before each load that are not counted."""

NO_HEADERS: Mapping[str, str] = {}

_PATIENCE_SECONDS = 30.0
_CLIENT_WINDOW = 2**31 - 1
"""Flow-control window of a connection: more bytes than a load can bring, so that it is never extended."""


class LoadFailed(Exception):
    """A call got an unexpected response, so nothing was measured."""


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load.

    calls: those that count; `sent` includes those of the warm-up.
    busy: the share of a core that the load generator took.
    """

    clients: int
    calls: int
    sent: int
    seconds: float
    p50_ms: float
    p99_ms: float
    busy: float

    @property
    def per_second(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


def counted(clients: int) -> str:
    """The number of clients as text."""
    return "1 client" if clients == 1 else f"{clients} clients"


def load_figure(what: str, loads: Sequence[Load]) -> Figure:
    """The figure of one load that was repeated."""
    return Figure(
        f"{what}, {counted(loads[0].clients)}",
        "calls/s",
        [load.per_second for load in loads],
        besides={
            "p50 ms": median(load.p50_ms for load in loads),
            "generator busy": median(load.busy for load in loads),
        },
    )


class _Clock:
    """The period in which responses count, and the latencies of those that did."""

    def __init__(self, seconds: float) -> None:
        self.begins = time.perf_counter() + WARM_SECONDS
        self.ends = self.begins + seconds
        self.latencies: list[float] = []
        self.responses = 0

    def record(self, sent: float) -> bool:
        """Record a response that was received now; return True if another call is to be made."""
        now = time.perf_counter()
        self.responses += 1
        if self.begins <= now <= self.ends:
            self.latencies.append(now - sent)
        return now < self.ends


class _Client(asyncio.Protocol):
    """One connection. `done` is set after its last response, or to the error."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        self._sent = 0.0
        self.transport: Any = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._call()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc}")

    def _call(self) -> None:
        self._sent = time.perf_counter()
        self._send()

    def _response_received(self) -> None:
        if self._clock.record(self._sent):
            self._call()
        elif not self.done.done():
            self.done.set_result(None)
            self.transport.close()

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(LoadFailed(why))
            self.transport.close()

    @abstractmethod
    def _send(self) -> None:
        """Write one request."""


class _RestClient(_Client):
    """HTTP/1.1, kept alive."""

    def __init__(self, clock: _Clock, requests: Iterator[bytes]) -> None:
        super().__init__(clock)
        self._requests = requests
        self._received = b""

    def _send(self) -> None:
        self.transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        if received[9:12] != b"200":
            self._fail(received.decode(errors="replace"))
            return
        head = received[:head_end].lower()
        length_at = head.find(b"content-length:")
        if length_at >= 0:
            length = int(head[length_at + 15 :].split(b"\r\n", 1)[0])
            whole = len(received) >= head_end + 4 + length
        else:
            whole = received.endswith(b"0\r\n\r\n")
        if whole:
            self._received = b""
            self._response_received()


class _GrpcClient(_Client):
    """A unary call of gRPC, in frames of HTTP/2."""

    def __init__(self, clock: _Clock, headers: bytes, messages: Iterator[bytes]) -> None:
        super().__init__(clock)
        self._headers = headers
        self._messages = messages
        self._stream = -1
        self._received = bytearray()
        self._may_send = frames.INITIAL_WINDOW
        self._has_message = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(
            frames.PREFACE
            + frames.settings({frames.INITIAL_WINDOW_SIZE: _CLIENT_WINDOW})
            + frames.window_update(_CLIENT_WINDOW - frames.INITIAL_WINDOW)
        )
        self._call()

    def _send(self) -> None:
        self._stream += 2
        self._has_message = False
        message = next(self._messages, None)
        if message is None:
            self._fail("the client has no message left")
            return
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        self._may_send -= len(framed)
        if self._may_send < 0:
            self._fail("the server does not let calls in as fast as it responds")
            return
        self.transport.write(
            frames.frame(frames.HEADERS, frames.END_HEADERS, self._stream, self._headers)
            + frames.frame(frames.DATA, frames.END_STREAM, self._stream, framed)
        )

    def data_received(self, data: bytes) -> None:
        self._received += data
        for kind, flags, stream, payload in frames.taken_from(self._received):
            if kind == frames.DATA:
                self._has_message = True
            elif kind == frames.HEADERS and flags & frames.END_STREAM and stream == self._stream:
                # An error has only trailers; a message is always followed by status OK.
                if self._has_message:
                    self._response_received()
                else:
                    self._fail(f"the call failed: {bytes(payload)!r}")
            elif kind == frames.WINDOW_UPDATE and stream == 0:
                self._may_send += int.from_bytes(payload, "big")
            elif kind in {frames.SETTINGS, frames.PING} and not flags & frames.ACK:
                response = payload if kind == frames.PING else b""
                self.transport.write(frames.frame(kind, frames.ACK, 0, response))
            elif kind in {frames.RST_STREAM, frames.GOAWAY}:
                self._fail(f"the call was cut off: {bytes(payload)!r}")


async def rest_load(
    port: int,
    request_line: str,
    clients: int,
    seconds: float,
    body: str = "",
    headers: Mapping[str, str] = NO_HEADERS,
    keys: Iterator[str] | None = None,
) -> Load:
    """Load REST with a request such as "GET /health", with further `headers`, and the next idempotency key of `keys`.

    Raises:
        LoadFailed: a response was not 200.
    """
    further = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"{request_line} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    end = f"content-length: {len(body)}\r\n{further}\r\n{body}"
    requests: Iterator[bytes] = repeat((start + end).encode())
    if keys is not None:
        requests = ((f"{start}idempotency-key: {key}\r\n{end}").encode() for key in keys)
    return await _load(port, clients, seconds, lambda clock: _RestClient(clock, requests))


async def grpc_load(
    port: int, method: str, message: bytes | Callable[[int], Iterator[bytes]], clients: int, seconds: float
) -> Load:
    """Load a unary method, such as "/package.Service/Method", with one message, or each client with its own.

    Raises:
        LoadFailed: a call failed.
    """
    headers = frames.header_block(
        {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": f"127.0.0.1:{port}",
            "content-type": "application/grpc",
            "te": "trailers",
        }
    )
    numbers = count()
    messages = (lambda _: repeat(message)) if isinstance(message, bytes) else message
    return await _load(port, clients, seconds, lambda clock: _GrpcClient(clock, headers, messages(next(numbers))))


async def _load(port: int, clients: int, seconds: float, make: Callable[[_Clock], _Client]) -> Load:
    loop = asyncio.get_running_loop()
    clock = _Clock(seconds)
    began, cpu_began = time.perf_counter(), time.process_time()
    gc.disable()  # a collection during a call would be measured as the server's delay
    try:
        async with asyncio.timeout(seconds + _PATIENCE_SECONDS):
            made = [(await loop.create_connection(lambda: make(clock), "127.0.0.1", port))[1] for _ in range(clients)]
            await asyncio.gather(*(client.done for client in made))
    finally:
        gc.enable()
    busy = (time.process_time() - cpu_began) / (time.perf_counter() - began)
    latencies = sorted(clock.latencies)
    if not latencies:
        raise LoadFailed(f"no call of {clients} clients returned within {seconds} s")
    p50, p99 = (percentile(latencies, percent) * 1e3 for percent in (50, 99))
    return Load(clients, len(latencies), clock.responses, seconds, p50, p99, busy)
