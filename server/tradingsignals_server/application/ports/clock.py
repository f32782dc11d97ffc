"""The clock port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

Clock = Callable[[], datetime]
"""Now, in UTC."""


Sleep = Callable[[float], Awaitable[None]]
"""Waiting, in seconds: asyncio.sleep, or a test's own."""
