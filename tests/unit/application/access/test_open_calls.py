"""Calls that last end when their callers lose their permission."""

from __future__ import annotations

import asyncio

from tradingsignals_server.application.access.open_calls import OpenCalls
from tradingsignals_server.domain.access import Caller

ONE, OTHER = Caller(id="one"), Caller(id="other")


async def test_calls_of_a_caller_that_lost_its_permission_are_ended() -> None:
    lost: dict[Caller, Exception] = {}
    calls = OpenCalls(lost.get)
    ended: list[tuple[str, Exception]] = []
    for name, caller in (("first", ONE), ("second", ONE), ("third", OTHER)):
        calls.add(caller, lambda error, name=name: ended.append((name, error)))  # type: ignore[misc]  # a default binds it
    calls.check()
    assert ended == []
    lost[ONE] = error = Exception()
    calls.check()
    assert ended == [("first", error), ("second", error)]


async def test_every_call_is_ended_at_the_end_of_the_server() -> None:
    calls, error = OpenCalls(lambda _: None), Exception()
    ended: list[Exception] = []

    def withdraw(error: Exception) -> None:
        ended.append(error)
        calls.remove(ONE, ids.pop())

    ids = [calls.add(ONE, withdraw) for _ in range(2)]
    calls.add(OTHER, ended.append)
    calls.end_all(error)
    assert ended == [error] * 3


async def test_ended_call_is_forgotten() -> None:
    lost: dict[Caller, Exception] = {}
    calls = OpenCalls(lost.get)
    ended: list[Exception] = []
    calls.remove(ONE, calls.add(ONE, ended.append))
    lost[ONE] = Exception()
    calls.check()
    assert ended == []


async def test_call_of_a_caller_that_has_just_lost_its_permission_is_ended() -> None:
    error = Exception()
    calls = OpenCalls(lambda _: error)
    ended: list[Exception] = []
    calls.add(ONE, ended.append)
    await asyncio.sleep(0)
    assert ended == [error]
