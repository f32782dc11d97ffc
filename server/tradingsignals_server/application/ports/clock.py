"""The clock port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

Clock = Callable[[], datetime]
"""Returns the current time, in UTC."""


Sleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds: asyncio.sleep, or a test's own."""
