"""A channel whose calls carry credentials, async or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

KeySource = str | Callable[[], str] | None
"""An API key or a token; or a function that returns it, called for each call, for tokens that are renewed."""

Metadata = tuple[tuple[str, str], ...]

_AUTHORIZATION: Final = "authorization"


class KeyedChannel:
    """A channel of gRPC that sends an API key or a token with each call.

    It does what the stubs ask of a channel. gRPC's own call credentials need an encrypted connection, which one to the
    same machine is not, and its interceptors replace the objects of calls.
    """

    def __init__(self, channel: Any, api_key: str | Callable[[], str]) -> None:
        self._channel = channel
        self._api_key = api_key

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """Return a method with one request and one response."""
        return _KeyedMethod(self._channel.unary_unary(*arguments, **options), self._api_key)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """Return a method with a stream of responses."""
        return _KeyedMethod(self._channel.unary_stream(*arguments, **options), self._api_key)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """Return a method with a stream of requests."""
        return _KeyedMethod(self._channel.stream_unary(*arguments, **options), self._api_key)

    def close(self, *arguments: Any) -> Any:
        """Close the channel."""
        return self._channel.close(*arguments)


class _KeyedMethod:
    def __init__(self, method: Any, api_key: str | Callable[[], str]) -> None:
        self._method = method
        self._api_key = api_key

    def __call__(self, *arguments: Any, metadata: Metadata = (), **options: Any) -> Any:
        return self._method(*arguments, metadata=(*metadata, *self._metadata()), **options)

    def future(self, *arguments: Any, metadata: Metadata = (), **options: Any) -> Any:
        return self._method.future(*arguments, metadata=(*metadata, *self._metadata()), **options)

    def _metadata(self) -> Metadata:
        key = self._api_key() if callable(self._api_key) else self._api_key
        return ((_AUTHORIZATION, f"Bearer {key}"),)
