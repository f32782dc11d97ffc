"""Answers of the server-streaming methods, made of messages that are serialised already."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ..application.event_log.tail import Batch, Follower
from ..domain.errors import FollowerStalled, ServiceError
from .encoding.responses import EVENTS, NOUNS, AnswerForm


class WriteBlocked(Exception):
    """Thrown into a stream of answers: the one it gave last could not be written for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def noun_stream(follower: Follower) -> AsyncGenerator[bytes]:
    """Answers of StreamSignals or StreamPositions; an empty one is the heartbeat."""
    return answer_stream(NOUNS, follower)


def event_stream(follower: Follower) -> AsyncGenerator[bytes]:
    """Answers of StreamEvents; a heartbeat is an event of its own."""
    return answer_stream(EVENTS, follower)


async def answer_stream(form: AnswerForm, follower: Follower) -> AsyncGenerator[bytes]:
    """Answers in a form, up to the end and what is to be said of it."""
    try:
        if form.begins_with_heartbeat:
            yield form.heartbeat(follower.cursor)
        async for batch in follower:
            yield _shared_answer(form, batch) if batch.entries else form.heartbeat(batch.through_sequence)
    except WriteBlocked as blocked:
        raise FollowerStalled(follower.cursor, blocked.seconds) from blocked
    except ServiceError as error:
        yield form.end(follower.cursor, error)
        raise


def _shared_answer(form: AnswerForm, batch: Batch) -> bytes:
    """The answer of a batch, made once for all the followers that share it."""
    answer = batch.answers.get(form)
    if answer is None:
        answer = batch.answers[form] = form.entries(batch.entries, batch.through_sequence)
    return answer
