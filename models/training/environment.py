"""The training environment: sessions of real bars, with the engine's own rules and costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from tradingsignals_server.domain.features import Observation
from tradingsignals_server.domain.risk import RiskRules

from .episode import ACTIONS, Episode
from .history import History, Session


class SessionEnvironment(gymnasium.Env[Observation, np.int64]):  # type: ignore[misc] # the extra train has no types
    """One episode is one session, drawn at random from `sessions`; see Episode for its rewards.

    Observations: the features of the policy, shape (size,), float32. Actions: 0 HOLD (keeps a position), 1 BUY, 2 SELL.
    """

    def __init__(self, history: History, sessions: Sequence[Session], rules: RiskRules) -> None:
        self._history = history
        self._sessions = sessions
        self._rules = rules
        self._episode: Episode | None = None
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, history.observations.shape[1:], np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the session options["session"], or one drawn at random."""
        super().reset(seed=seed)
        chosen = (options or {}).get("session")
        session = self._sessions[self.np_random.integers(len(self._sessions))] if chosen is None else chosen
        self._episode = Episode(self._history, session, self._rules)
        return self._episode.observation, {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Decide at the current bar; return the observation, the reward in percent, and whether the session is over."""
        if self._episode is None:
            raise ValueError("call reset before step")
        reward = self._episode.step(ACTIONS[action])
        return self._episode.observation, reward, self._episode.is_over, False, {}
