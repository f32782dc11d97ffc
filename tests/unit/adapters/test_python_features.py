"""Features of the user's own: loading, refusals, and what a decision does when they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.support.builders import walk
from tests.support.own_features import MODULE, module_folder
from tests.support.running import running_engine

from tradingsignals_server.adapters.python_features import FeaturesRefused, PythonFeatures, load_features, named_by
from tradingsignals_server.application.ports.policy import PolicyDescription, PolicyOutput
from tradingsignals_server.commands.feature_check import check_features
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.features import FeatureContext, FeaturesFailed, Observation
from tradingsignals_server.domain.recurrent_state import RecurrentState, ResetRule
from tradingsignals_server.domain.signals import Action, Probabilities
from tradingsignals_server.domain.window import Window
from tradingsignals_server.features import BarArrays, SessionPlace, UserFeatures

CALENDAR = calendar_for("USDCOP")


@dataclass
class Mine:
    """Features whose function is given."""

    function: Callable[[BarArrays, SessionPlace], Any]
    names: tuple[str, ...] = ("a", "b")
    lookback_bars: int = 30
    warm_bars: int = 2
    calls: list[int] = field(default_factory=list)

    def observe(self, bars: BarArrays, session: SessionPlace) -> npt.ArrayLike:
        """See UserFeatures."""
        self.calls.append(len(bars.close))
        found: npt.ArrayLike = self.function(bars, session)
        return found


def change(bars: BarArrays, session: SessionPlace) -> list[float]:
    return [float(np.log(bars.close[-1] / bars.close[-2])), session.progress]


def context(bars: int) -> FeatureContext:
    made = walk(bars)
    return FeatureContext(Window.of(made), CALENDAR, CALENDAR.progress(made[-1].time))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder with a module of features."""
    with module_folder(tmp_path):
        yield tmp_path


def test_module_of_the_working_folder_is_imported(folder: Path) -> None:
    features = load_features("minefeatures:features")
    assert features.name == "python:minefeatures:features"
    assert (features.names, features.size, features.lookback_bars) == (("change", "progress"), 2, 30)
    assert len(features.source_sha256) == 64
    assert features.observe(context(40).narrowed(30)).tolist()[1] == np.float32(39 / 60)
    assert "deterministic" in check_features(features)


def test_arrays_are_a_copy_of_the_newest_bars() -> None:
    def spoil(bars: BarArrays, session: SessionPlace) -> list[float]:
        bars.close[:] = 0.0
        return [float(bars.open[-1]), float(session.bars_before)]

    seen = context(20)
    closes = seen.closes.copy()
    user = Mine(spoil)
    assert isinstance(user, UserFeatures)
    assert PythonFeatures("m:f", user).observe(seen).tolist() == [np.float32(seen.window.open[-1]), 19.0]
    assert (seen.closes == closes).all()


@pytest.mark.parametrize(
    ("change_of", "message"),
    [
        (
            lambda s: s.replace("features = Mine()", "features = Mine"),
            "is a class; make an instance, such as features = Mine()",
        ),
        (
            lambda s: s.replace("warm_bars = 2", "pass"),
            "has no warm_bars; see tradingsignals_server.features.UserFeatures",
        ),
        (
            lambda s: s.replace("warm_bars = 2", "warm_bars = 31"),
            "has warm_bars=31, which must not be above lookback_bars=30",
        ),
        (lambda s: s.replace("lookback_bars = 30", "lookback_bars = 0"), "whole numbers from 1 to 5000"),
        (lambda s: s.replace('["change", "progress"]', '"change"'), "needs as names 1 to 100000 different strings"),
        (lambda s: s.replace('"progress"]', '"change"]'), "needs as names 1 to 100000 different strings"),
        (lambda s: s.replace("features =", "others ="), "has no features; define it there"),
        (lambda _: "import no_such_library", "its import needs no_such_library, which is not installed"),
        (lambda _: "1 / 0", "its import raised ZeroDivisionError: division by zero"),
        (lambda _: "def (", "its import raised SyntaxError"),
    ],
)
def test_what_cannot_be_used_is_refused_on_one_line(
    folder: Path, change_of: Callable[[str], str], message: str
) -> None:
    (folder / "minefeatures.py").write_text(change_of(MODULE))
    with pytest.raises(FeaturesRefused) as caught:
        load_features("minefeatures:features")
    assert message in str(caught.value)
    assert str(caught.value).startswith("FEATURES=minefeatures:features: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nosuchmodule:features", "there is no module nosuchmodule in "),
        ("nosuch.module:features", "there is no module nosuch.module in "),
        ("minefeatures", "module and attribute are needed, such as mymodule:features"),
        ("minefeatures:", "module and attribute are needed"),
        ("../minefeatures:features", "module and attribute are needed"),
    ],
)
def test_reference_that_names_nothing_is_refused(folder: Path, reference: str, message: str) -> None:
    with pytest.raises(FeaturesRefused) as caught:
        load_features(reference)
    assert message in str(caught.value)


def test_model_gets_only_the_module_that_the_operator_names() -> None:
    own = PythonFeatures("m:f", Mine(change))
    assert named_by("m:f", ["a", "b"], own) is own
    for given, wanted in ((None, "m:f"), (own, "other:f")):
        with pytest.raises(FeaturesRefused, match=f"set FEATURES={wanted}"):
            named_by(wanted, ["a", "b"], given)
    with pytest.raises(FeaturesRefused, match="was trained on b, a, and m:f has a, b"):
        named_by("m:f", ["b", "a"], own)
    with pytest.raises(FeaturesRefused, match="was trained on features of 60 bars, and m:f has lookback_bars=30"):
        named_by("m:f", ["a", "b"], own, lookback_bars=60)


def test_model_gets_only_the_source_that_it_was_made_with() -> None:
    own = PythonFeatures("m:f", Mine(change), "a" * 64)
    assert named_by("m:f", ["a", "b"], own, lookback_bars=30, source_sha256="a" * 64) is own
    assert named_by("m:f", ["a", "b"], own, source_sha256=None) is own
    for found in (own, PythonFeatures("m:f", Mine(change))):
        with pytest.raises(FeaturesRefused, match=r"another source of m:f \(sha256 bbbbbbbbbbbb, and here"):
            named_by("m:f", ["a", "b"], found, source_sha256="b" * 64)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda *_: [1.0], "gave numbers of shape (1,) for 2 names"),
        (lambda *_: [1.0, float("nan")], "gave nan as b"),
        (lambda *_: [1e300, 0.0], "gave inf as a"),
        (lambda *_: None, "gave numbers of shape () for 2 names"),
        (lambda *_: ["x", 0.0], "m:f raised ValueError: could not convert string to float"),
        (lambda bars, _: [bars.close[1000], 0.0], "m:f raised IndexError"),
    ],
)
def test_observation_that_fails_says_why(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(FeaturesFailed) as caught:
        PythonFeatures("m:f", Mine(function)).observe(context(20))
    assert message in str(caught.value)


def test_too_few_bars_at_a_quote_are_said() -> None:
    with pytest.raises(FeaturesFailed, match="m:f needs 2 bars and got 1"):
        PythonFeatures("m:f", Mine(change)).observe(context(1))


def stateful() -> Callable[[BarArrays, SessionPlace], list[float]]:
    seen = list[float]()

    def observe(bars: BarArrays, _: SessionPlace) -> list[float]:
        seen.append(float(bars.close[-1]))
        return [float(np.mean(seen)), 0.0]

    return observe


def looking_ahead() -> Callable[[BarArrays, SessionPlace], list[float]]:
    known: dict[float, float] = {}

    def observe(bars: BarArrays, _: SessionPlace) -> list[float]:
        known.update(zip(bars.time.tolist(), bars.close.tolist(), strict=True))
        return [known.get(float(bars.time[-1]) + 300.0, 0.0), 0.0]

    return observe


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda *_: [float(np.random.default_rng().random()), 0.0], "a differs for the same bars"),
        (stateful(), "a differs for the same bars"),
        (looking_ahead(), "a differs for the same bars"),
        (lambda bars, _: [bars.close[-1] / bars.volume[-1], 0.0], "gave inf as a on a market without volumes"),
        (lambda bars, _: [1.0 / (bars.close[-1] - bars.close[-2]), 0.0], "on a market that does not move"),
        (lambda bars, _: [bars.close[-20], 0.0], "raised IndexError"),
    ],
)
def test_check_finds_features_that_cannot_be_trusted(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(FeaturesRefused) as caught:
        check_features(PythonFeatures("m:f", Mine(function)))
    assert message in str(caught.value)


def test_check_finds_a_value_that_depends_on_the_order_of_calls() -> None:
    last = [0.0]

    def observe(bars: BarArrays, _: SessionPlace) -> list[float]:
        before, last[0] = last[0], float(bars.close[-1])
        return [0.0 if len(bars.close) < 3 else before, 0.0]

    with pytest.raises(FeaturesRefused, match="a depends on the bars observed before"):
        check_features(PythonFeatures("m:f", Mine(observe)))


class Counting:
    """A recurrent policy that counts its decisions, on features of a module."""

    def __init__(self, user: Mine) -> None:
        self.description = PolicyDescription("p1", "test", "onnx", reset=ResetRule.NEVER, layers=1, hidden_size=1)
        self.features = PythonFeatures("m:f", user)

    def initial_state(self) -> RecurrentState:
        """See Policy."""
        return RecurrentState.zeros(1, 1)

    def decide(self, observation: Observation, state: RecurrentState) -> PolicyOutput:
        """See Policy."""
        return Probabilities(0.1, 0.8, 0.1), RecurrentState(state.values + np.float32(1.0))

    def decide_batch(
        self, observations: npt.NDArray[np.float32], states: Sequence[RecurrentState]
    ) -> list[PolicyOutput]:
        """See Policy."""
        return [self.decide(row, state) for row, state in zip(observations, states, strict=True)]


@pytest.mark.parametrize("at_once", [True, False])
async def test_features_that_fail_hold_with_a_reason_and_start_the_state_anew(at_once: bool) -> None:
    bars = walk(70)

    def fails_once(seen: BarArrays, session: SessionPlace) -> list[float]:
        if seen.time[-1] == bars[64].time.timestamp():
            raise RuntimeError("a defect")
        return change(seen, session)

    async with running_engine(policy=Counting(Mine(fails_once))) as running:
        for part in [bars] if at_once else [[bar] for bar in bars]:
            await running.publish(part)
        signals = {signal.bar_time: signal for signal in running.store.signals()}
        failed = [signal for signal in signals.values() if signal.model_failed]
        assert [(signal.bar_time, signal.action) for signal in failed] == [(bars[64].time, Action.HOLD)]
        assert failed[0].decision.reasoning[0] == (
            "The features could not be computed (m:f raised RuntimeError: a defect): HOLD, and the recurrent state "
            "starts anew"
        )
        assert signals[bars[65].time].action is Action.BUY
        (state,) = running.engine.states()
        assert state.live.recurrent.values.max() == 5.0, "the bars after the failure"
        assert running.pipeline.live.meter.failures == 1
