"""Models of features of the user's own: stamped, checked, loaded, and refused when the module is another one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tests.support.builders import walk
from tests.support.onnx_models import graph, write
from tests.support.own_features import MODULE, REFERENCE, module_folder

from tradingsignals_server.adapters.onnx import model_file
from tradingsignals_server.adapters.onnx.errors import ExportRefused
from tradingsignals_server.adapters.onnx.repository import load_newest
from tradingsignals_server.adapters.python_features import FeaturesRefused, load_features
from tradingsignals_server.application.decision.pipeline import Pipeline
from tradingsignals_server.application.decision.symbol_state import SymbolState
from tradingsignals_server.application.decision.trader import Trader
from tradingsignals_server.bootstrap.backtest import load_policy
from tradingsignals_server.bootstrap.server import require_files
from tradingsignals_server.cli.main import main
from tradingsignals_server.commands.stamp import StampOptions, stamp
from tradingsignals_server.config.settings import Settings
from tradingsignals_server.domain.calendar import calendar_for
from tradingsignals_server.domain.errors import ModelNotLoaded
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action
from tradingsignals_server.domain.window import Window

TWO = "float[batch,2] observation"
BODY = """
    weights = Constant <value = float[2,3] {0.0, 9.0, -9.0, 0.0, 0.0, 0.0}> ()
    logits = MatMul (observation, weights)
    probabilities = Softmax <axis = 1> (logits)
"""
"""A change above 0 is bought, one below sold."""


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load files in this process only: test_confinement.py tests the other one."""
    monkeypatch.setattr(model_file, "require_bounded", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder with a module of features."""
    with module_folder(tmp_path):
        yield tmp_path


def stamped(folder: Path, **options: object) -> Path:
    """Write a model that observes the features of the module."""
    plain, out = write(folder, graph(TWO, body=BODY), "plain.onnx"), folder / "model.onnx"
    given = {"features": REFERENCE, "actions": ("HOLD", "BUY", "SELL"), "interval": "5m", **options}
    stamp(plain, out, StampOptions(**given))  # type: ignore[arg-type] # as a caller gives them
    return out


def changed_module(folder: Path, old: str, new: str) -> None:
    """Change the source of the module, as a later start would find it."""
    (folder / "minefeatures.py").write_text(MODULE.replace(old, new))
    sys.modules.pop("minefeatures", None)


@pytest.mark.parametrize("prefix", ["", "python:"])
def test_stamp_writes_names_lookback_and_source_of_the_module(folder: Path, prefix: str) -> None:
    own = load_features(REFERENCE)
    policy = load_newest(stamped(folder, features=prefix + REFERENCE), "MODEL_PATH", own)
    declared = policy.specification.features
    assert (declared.specification, declared.names) == ("python:minefeatures:features", ("change", "progress"))
    assert (declared.lookback_bars, declared.source_sha256) == (30, own.source_sha256)
    assert policy.features is own


def test_check_runs_the_features_and_shows_decisions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stamped(folder)
    result = CliRunner().invoke(main, ["check", str(path), "--features", REFERENCE])
    assert result.exit_code == 0, result.output
    assert (
        "features     python:minefeatures:features: 2 (change, progress), of the last 30 bars, source " in result.output
    )
    assert "deterministic, without look-ahead, and finite" in result.output
    assert "on 400 made-up bars: " in result.output
    monkeypatch.setenv("FEATURES", REFERENCE)
    assert CliRunner().invoke(main, ["check", str(path)]).output == result.output


def test_check_refuses_features_that_are_not_finite(folder: Path) -> None:
    path = stamped(folder)
    changed_module(folder, "1e3 *", "1.0 / bars.volume[-1] *")
    stamped_again = folder / "again.onnx"
    stamp(path, stamped_again, StampOptions(features=REFERENCE))
    result = CliRunner().invoke(main, ["check", str(stamped_again), "--features", REFERENCE])
    assert result.exit_code == 1
    assert "as change on a market without volumes" in result.output
    assert "will serve" not in result.output


def test_model_without_its_module_is_refused_with_what_to_set(folder: Path) -> None:
    path = stamped(folder)
    with pytest.raises(ModelNotLoaded) as caught:
        load_newest(path, "MODEL_PATH")
    assert caught.value.message == (
        f"MODEL_PATH: {path}: was trained on the features of a Python module; set FEATURES={REFERENCE} (of a command: "
        "--features)"
    )


def test_changed_source_is_refused_until_the_file_is_stamped_again(folder: Path) -> None:
    path = stamped(folder)
    changed_module(folder, "1e3", "1e2")
    with pytest.raises(ModelNotLoaded, match="was made with another source of minefeatures:features"):
        load_newest(path, "MODEL_PATH", load_features(REFERENCE))
    result = CliRunner().invoke(main, ["check", str(path), "--features", REFERENCE])
    assert "--features python:minefeatures:features" in result.output.splitlines()[0]
    again = folder / "again.onnx"
    stamp(path, again, StampOptions(features=REFERENCE))
    assert load_newest(again, "MODEL_PATH", load_features(REFERENCE)).features.names == ("change", "progress")


def test_lookback_beside_a_module_is_refused(folder: Path) -> None:
    with pytest.raises(ExportRefused, match=r"^--lookback 60: minefeatures:features has lookback_bars=30; leave the"):
        stamped(folder, lookback=60)
    assert stamped(folder, lookback=30).exists()


def test_normalisation_applies_to_features_of_a_module(folder: Path) -> None:
    statistics = folder / "statistics.json"
    statistics.write_text('{"mean": [1.0, 0.5], "scale": [2.0, 0.5]}')
    policy = load_newest(stamped(folder, normalisation=statistics), "MODEL_PATH", load_features(REFERENCE))
    assert (policy.features.names, policy.features.lookback_bars) == (("change", "progress"), 30)
    assert policy.features is not load_features(REFERENCE)


def test_setting_gives_the_features_to_server_and_backtest(folder: Path) -> None:
    path = stamped(folder)
    settings = Settings(model_path=path, features=REFERENCE)
    require_files(settings)
    policy = load_policy(settings)
    assert policy.features.name == "python:minefeatures:features"
    with pytest.raises(FeaturesRefused, match="there is no module nowhere in "):
        require_files(Settings(model_path=path, features="nowhere:features"))


def test_decisions_follow_the_features_and_a_failure_is_held_with_the_reason(folder: Path) -> None:
    changed_module(folder, "return [", "return [] if bars.close[-1] > bars.open[-1] * 1.0005 else [")
    policy = load_newest(stamped(folder), "MODEL_PATH", load_features(REFERENCE))
    pipeline = Pipeline(Trader(policy, RiskRules(confidence_threshold=0.0)), calendar_for)
    state = SymbolState("USDCOP", pipeline.calendar_of("USDCOP"), Window.empty(pipeline.history_bars))
    failed, decided = 0, 0
    bars = walk(200)
    for before, bar in zip([None, *bars], bars, strict=False):
        step = pipeline.on_bar(state, bar)
        state = step.state
        if step.signal is None or before is None:
            continue
        if bar.close > bar.open * 1.0005:
            failed += 1
            assert step.signal.action is Action.HOLD
            assert "gave numbers of shape (0,) for 2 names" in step.signal.decision.reasoning[0]
        else:
            decided += 1
            assert np.sign(bar.close - before.close) == np.sign(
                step.signal.probabilities.buy - step.signal.probabilities.sell
            )
    assert failed > 5
    assert decided > 50
