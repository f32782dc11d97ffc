"""The API key is sent with each call, of every shape."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tradingsignals.keyed import KeyedChannel


class Recorder:
    """A channel whose methods return the metadata that they are called with."""

    def __init__(self) -> None:
        self.is_closed = False

    def method(self, *_: Any, **__: Any) -> Any:
        def call(*arguments: Any, metadata: Any, **options: Any) -> Any:
            return arguments, dict(metadata), options

        call.future = call  # type: ignore[attr-defined]  # as gRPC's methods have it
        return call

    unary_unary = unary_stream = stream_unary = method

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("shape", ["unary_unary", "unary_stream", "stream_unary"])
def test_every_call_carries_the_key(shape: str) -> None:
    method = getattr(KeyedChannel(Recorder(), "tss_a_b"), shape)("/a.B/C")
    expected = (("request",), {"authorization": "Bearer tss_a_b"}, {"timeout": 3.0})
    assert method("request", timeout=3.0) == expected
    assert method.future("request", timeout=3.0) == expected
    both = {"authorization": "Bearer tss_a_b", "idempotency-key": "mine"}
    assert method("request", metadata=(("idempotency-key", "mine"),))[1] == both


def test_token_that_is_renewed_is_asked_for_at_each_call() -> None:
    numbers = count(1)
    method = KeyedChannel(Recorder(), lambda: f"token{next(numbers)}").unary_unary("/a.B/C")
    assert [method("request")[1]["authorization"] for _ in range(2)] == ["Bearer token1", "Bearer token2"]


def test_channel_is_closed() -> None:
    recorder = Recorder()
    KeyedChannel(recorder, "key").close()
    assert recorder.is_closed
