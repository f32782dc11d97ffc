"""The services of tradingsignals.edge.v1: the streams as text, which the edge asks for on behalf of REST callers.

They stand here once for both servers: the lean path takes their streams, and grpc.aio a servicer made of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ..application.event_log.tail import Broadcast
from ..internal import newline_delimited_service_pb2, server_sent_events_service_pb2
from ..transport.grpc.metadata import last_event_id
from .encoding.responses import AnswerForm
from .encoding.text_responses import LINES, SERVER_SENT_EVENTS, TextForms
from .mapping.validation import FollowRequest, Subscription, subscription
from .streams import answer_stream

Asked = Callable[[FollowRequest], Subscription]
"""What a request asks for."""


def resumed_subscription(request: FollowRequest) -> Subscription:
    """What an EventSource asks for.

    When it connects again it asks for the address that it was made with, and says beside it what it has seen last.

    Raises:
        InvalidRequest: a field is out of its bounds, or what it has seen last is no sequence.
    """
    return subscription(request, last_event_id.get())


@dataclass(frozen=True, slots=True)
class TextStream:
    """One method: where it is called, and what it takes and gives."""

    path: str
    request: type[Message]
    form: AnswerForm


class TextService:
    """One service: all streams in one framing."""

    def __init__(self, descriptor: ServiceDescriptor, forms: TextForms, asked: Asked) -> None:
        self.descriptor = descriptor
        self.forms = forms
        self.subscription = asked
        self.streams = [
            self._stream("StreamSignals", forms.signals),
            self._stream("StreamPositions", forms.positions),
            self._stream("StreamEvents", forms.events),
        ]

    def _stream(self, name: str, form: AnswerForm) -> TextStream:
        request: Any = GetMessageClass(self.descriptor.methods_by_name[name].input_type)
        return TextStream(f"/{self.descriptor.full_name}/{name}", request, form)


TEXT_SERVICES: Mapping[str, TextService] = {
    service.descriptor.name: service
    for service in (
        TextService(
            server_sent_events_service_pb2.DESCRIPTOR.services_by_name["ServerSentEventsService"],
            SERVER_SENT_EVENTS,
            resumed_subscription,
        ),
        TextService(
            newline_delimited_service_pb2.DESCRIPTOR.services_by_name["NewlineDelimitedService"],
            LINES,
            subscription,
        ),
    )
}
"""By the short name."""


class TextServicer:
    """Serves one of them over grpc.aio."""

    def __init__(self, service: TextService, broadcast: Broadcast) -> None:
        self._service = service
        self._broadcast = broadcast

    async def stream_signals(self, request: FollowRequest) -> AsyncGenerator[bytes]:
        """The signals as they are committed."""
        return await self._follow(self._service.forms.signals, request)

    async def stream_positions(self, request: FollowRequest) -> AsyncGenerator[bytes]:
        """The positions as they change."""
        return await self._follow(self._service.forms.positions, request)

    async def stream_events(self, request: FollowRequest) -> AsyncGenerator[bytes]:
        """Everything, as it is committed."""
        return await self._follow(self._service.forms.events, request)

    async def _follow(self, form: AnswerForm, request: FollowRequest) -> AsyncGenerator[bytes]:
        return answer_stream(form, await self._broadcast.follow(*self._service.subscription(request)))


def text_servicers(broadcast: Broadcast) -> dict[str, object]:
    """A servicer for each of them, by the short name."""
    return {name: TextServicer(service, broadcast) for name, service in TEXT_SERVICES.items()}
