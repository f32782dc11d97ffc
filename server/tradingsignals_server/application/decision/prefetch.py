"""Looking ahead at the bars of a batch of work, before the first step is made.

What a policy says to a bar depends on the bars before it and on its own recurrent state, never on a position. So the
features of all bars are made first; then the policies are asked in waves, the n-th new bar of each symbol together; and
only then come the steps. A batch of inferences costs a fraction of as many single ones, and the same thing done many
times over a fraction of all things in turn, because its code stays in the processor's caches (docs/performance.md).

A step takes the outlook of its bar if it starts from the very state that was foreseen, and looks for itself if not
(something before it was refused, say). Foresight changes when a policy is asked, never what it says.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from ...domain.bars import Bar
from .pipeline import Outlook, Pipeline, Scene, scene_of
from .symbol_state import SymbolState

WAVE_BARS = 32
"""Bars looked at together at most, and so before the event loop gets its turn: one to two milliseconds of computing."""

Outlooks = dict[tuple[str, datetime], Outlook]
"""By symbol and time of the bar."""


async def foresee(pipeline: Pipeline, states: Mapping[str, SymbolState], bars: Iterable[Bar]) -> Outlooks:
    """The outlooks of those `bars` that are newer than all before them. A single bar is left to its step."""
    together = list(bars)
    if len(together) == 1:
        return {}
    lines = await _scenes(states, together)
    memories = {symbol: pipeline.memories_of(states[symbol]) for symbol in lines}
    found: Outlooks = {}
    while lines:
        symbols = list(lines)
        for start in range(0, len(symbols), WAVE_BARS):
            wave = symbols[start : start + WAVE_BARS]
            scenes = [lines[symbol].popleft() for symbol in wave]
            outlooks = pipeline.look(scenes, [memories[symbol] for symbol in wave])
            for symbol, outlook in zip(wave, outlooks, strict=True):
                found[symbol, outlook.scene.bar.time] = outlook
                memories[symbol] = outlook.memories
            if len(found) % WAVE_BARS < len(wave):  # so many again
                await asyncio.sleep(0)
        lines = {symbol: line for symbol, line in lines.items() if line}
    return found


async def _scenes(states: Mapping[str, SymbolState], bars: Sequence[Bar]) -> dict[str, deque[Scene]]:
    """By symbol what policies are to be shown, in the order of the bars.

    Late bars and duplicates are left out, and a symbol whose window is not warm yet is left to the steps.
    """
    ahead = dict(states)
    lines: dict[str, deque[Scene]] = {}
    for number, bar in enumerate(bars, 1):
        state = ahead[bar.symbol]
        if state.warm and (state.last_bar is None or bar.time > state.last_bar.time):
            scene = scene_of(state, bar)
            if scene is None:
                ahead[bar.symbol] = state.after_bar(bar, None)
            else:
                ahead[bar.symbol] = scene.after
                lines.setdefault(bar.symbol, deque()).append(scene)
        if number % WAVE_BARS == 0:
            await asyncio.sleep(0)
    return lines
