"""Servicers whose calls that act note their requests for the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.json_format import MessageToJson, SerializeToJsonError
from google.protobuf.message import Message
from google.protobuf.text_format import MessageToString

from ...domain.access import Rule
from ...domain.audit import REQUEST_CHARACTERS
from ...transport.grpc.metadata import REPLAYED, response_metadata
from ..contract import path_of
from ..methods import Behaviour, Response, behaviour_of, method_name
from .gate import current_admission

HIDDEN: Final = "***"
"""In place of a credential."""


class NotedServicer:
    """A servicer that does what another one does, and notes the requests of calls that act with one message."""

    def __init__(self, service: ServiceDescriptor, servicer: object, rules: Mapping[str, Rule]) -> None:
        self._servicer = servicer
        for method in service.methods:
            if rules[path_of(method)].acts and not (method.client_streaming or method.server_streaming):
                setattr(self, method_name(method), _noted(behaviour_of(servicer, method), method))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._servicer, name)


def _noted(behaviour: Behaviour, _: MethodDescriptor) -> Behaviour:
    async def noted(request: Any) -> Response:
        admission = current_admission.get()
        if admission is None:
            return await behaviour(request)
        admission.request = request_text(request)
        response = await behaviour(request)
        admission.replayed = REPLAYED in response_metadata.get()
        return response

    return noted


def request_text(request: Message) -> str:
    """Return a request as the audit log has it: JSON on one line, without absent fields and credentials, cut.

    What JSON cannot express, such as a time beyond the year 9999, which the handler refuses, is in the text format.
    """
    text: str
    request = _redacted(request)
    try:
        text = MessageToJson(request, preserving_proto_field_name=True, indent=None)
    except (ValueError, SerializeToJsonError):
        text = MessageToString(request, as_one_line=True)
    return text if len(text) <= REQUEST_CHARACTERS else text[: REQUEST_CHARACTERS - 3] + "..."


def _redacted(message: Message) -> Message:
    """Return a message without the values of fields that the contract declares `debug_redact`."""
    if not _has_secrets(message.DESCRIPTOR):
        return message
    copy = type(message)()
    copy.CopyFrom(message)
    _redact(copy)
    return copy


def _redact(message: Message) -> None:
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            setattr(message, field.name, HIDDEN)
        elif field.message_type is not None and not field.is_repeated:
            _redact(value)


@cache
def _has_secrets(descriptor: Descriptor) -> bool:
    """Return whether a message, or one in a field of it, has a field that is to be hidden."""
    return any(
        field.GetOptions().debug_redact
        or (field.message_type is not None and not field.is_repeated and _has_secrets(field.message_type))
        for field in descriptor.fields
    )
