# Generated from _async/event_log.py by `make generate`; do not edit.
"""Streams and followers of the event log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, Unpack

from tradingsignals.v1 import event_service_pb2, position_service_pb2, signal_service_pb2
from tradingsignals.v1.event_pb2 import Event
from tradingsignals.v1.event_service_pb2_grpc import EventServiceStub
from tradingsignals.v1.position_pb2 import Position
from tradingsignals.v1.position_service_pb2_grpc import PositionServiceStub
from tradingsignals.v1.signal_pb2 import Signal
from tradingsignals.v1.signal_service_pb2_grpc import SignalServiceStub

from ..requests import OWN_CONNECTION, Action, Kind, When, entries_of, when
from ..resume import Following, Sequenced
from .caller import Caller
from .follower import Follower, StreamingMethod
from .streams import Stream

T = TypeVar("T", bound=Sequenced)


class EventLogMethods(Caller):
    """The streams and followers of the event log."""

    def stream_signals(
        self,
        *,
        symbols: Iterable[str] = (),
        actions: Iterable[Action] = (),
        min_confidence: float | None = None,
        resume_after: int | None = None,
        heartbeat_seconds: int | None = None,
    ) -> Stream[Signal]:
        """Stream signals as they are made; with `resume_after`, first those stored since that sequence."""
        request = signal_service_pb2.StreamSignalsRequest(
            symbols=symbols,
            actions=actions,
            min_confidence=min_confidence,
            resume_after=resume_after,
            heartbeat_seconds=heartbeat_seconds,
        )
        return Stream(self._signals.StreamSignals(request), lambda response: response.signals)

    def stream_positions(
        self, *, symbols: Iterable[str] = (), resume_after: int | None = None, heartbeat_seconds: int | None = None
    ) -> Stream[Position]:
        """Stream positions after each change; with `resume_after`, first the changes stored since that sequence."""
        request = position_service_pb2.StreamPositionsRequest(
            symbols=symbols, resume_after=resume_after, heartbeat_seconds=heartbeat_seconds
        )
        return Stream(self._positions.StreamPositions(request), lambda response: response.positions)

    def stream_events(
        self,
        *,
        symbols: Iterable[str] = (),
        kinds: Iterable[Kind] = (),
        min_confidence: float | None = None,
        resume_after: int | None = None,
        heartbeat_seconds: int | None = None,
        start_time: When = None,
        end_time: When = None,
        speed: float | None = None,
    ) -> Stream[Event]:
        """Stream entries of the event log, of all kinds or of `kinds`; with `resume_after`, first those stored since.

        With `start_time` or `end_time` the history is replayed first, `speed` times faster than the market; with
        `end_time` the iteration ends there.
        """
        request = event_service_pb2.StreamEventsRequest(
            symbols=symbols,
            kinds=kinds,
            min_confidence=min_confidence,
            resume_after=resume_after,
            heartbeat_seconds=heartbeat_seconds,
            start_time=when(start_time),
            end_time=when(end_time),
            speed=speed,
        )
        return Stream(self._events.StreamEvents(request), entries_of)

    def follow(
        self,
        *,
        symbols: Iterable[str] = (),
        kinds: Iterable[Kind] = (),
        min_confidence: float | None = None,
        **following: Unpack[Following],
    ) -> Follower[Event]:
        """Follow entries of the event log, of all kinds or of `kinds`, each exactly once through all failures.

        `following` says where to begin and what to do when the log changes: see `tradingsignals.Following`.
        """
        request = event_service_pb2.StreamEventsRequest(symbols=symbols, kinds=kinds, min_confidence=min_confidence)
        return self._follower(lambda channel: EventServiceStub(channel).StreamEvents, request, entries_of, following)

    def follow_signals(
        self,
        *,
        symbols: Iterable[str] = (),
        actions: Iterable[Action] = (),
        min_confidence: float | None = None,
        **following: Unpack[Following],
    ) -> Follower[Signal]:
        """Follow signals, each exactly once through all failures; `following` as in `follow`."""
        request = signal_service_pb2.StreamSignalsRequest(
            symbols=symbols, actions=actions, min_confidence=min_confidence
        )
        return self._follower(
            lambda channel: SignalServiceStub(channel).StreamSignals,
            request,
            lambda response: response.signals,
            following,
        )

    def follow_positions(self, *, symbols: Iterable[str] = (), **following: Unpack[Following]) -> Follower[Position]:
        """Follow positions after each change, none missed through all failures; `following` as in `follow`."""
        request = position_service_pb2.StreamPositionsRequest(symbols=symbols)
        return self._follower(
            lambda channel: PositionServiceStub(channel).StreamPositions,
            request,
            lambda response: response.positions,
            following,
        )

    def _follower(
        self, method: StreamingMethod, request: object, items_of: Callable[[Any], Iterable[T]], following: Following
    ) -> Follower[T]:
        return Follower(self._channel, lambda: self._new_channel(OWN_CONNECTION), method, request, items_of, following)
