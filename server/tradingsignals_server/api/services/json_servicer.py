"""tradingsignals.edge.v1.JsonService: the responses of the public services as JSON, for REST callers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from types import SimpleNamespace
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ..contract import JSON_SERVICE, SERVICES
from ..encoding.json_text import json_text
from ..encoding.listing import Listing, list_body
from ..encoding.stream_text import json_body
from ..methods import Behaviour, Response, behaviour_of, method_name


def json_servicer(servicers: Mapping[str, object]) -> object:
    """A servicer with the methods of JsonService: each calls the public method of its name and writes the response.

    `servicers` are those of the public services, by the short name of their service.

    Raises:
        KeyError: JsonService has a method that no public service has.
    """
    public = {method.name: (name, method) for name, service in SERVICES.items() for method in service.methods}
    found = [public[method.name] for method in JSON_SERVICE.methods]
    return SimpleNamespace(
        **{method_name(method): _as_json(behaviour_of(servicers[name], method), method) for name, method in found}
    )


def _as_json(behaviour: Behaviour, method: MethodDescriptor) -> Callable[[Any], Coroutine[Any, Any, bytes]]:
    parse: Any = GetMessageClass(method.output_type).FromString
    first = next(iter(method.output_type.fields), None)
    list_name = first.name if first is not None and first.is_repeated and first.message_type is not None else None

    async def written(request: Any) -> bytes:
        response: Response = await behaviour(request)
        if isinstance(response, Listing):
            return await response.text()
        message: Message = parse(response) if isinstance(response, bytes) else response
        if list_name is None:
            return json_body(json_text(message).encode())
        items = list(getattr(message, list_name))
        message.ClearField(list_name)
        return await list_body(items, lambda item: json_text(item).encode(), message)

    return written
