"""`tradingsignals export`: an exported policy decides as in torch, and as a reference implementation in numpy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.onnx_models import observations
from tests.support.trained import OBSERVED, Market, Trained, export, in_numpy, sb3_contrib, torch, trained, vec_env

from tradingsignals_server.adapters.onnx import graph as onnx_graph
from tradingsignals_server.adapters.onnx.errors import ExportRefused
from tradingsignals_server.adapters.onnx.policy import OnnxPolicy
from tradingsignals_server.commands import parity
from tradingsignals_server.commands.check import check
from tradingsignals_server.domain.recurrent_state import ResetRule
from tradingsignals_server.domain.signals import Probabilities

DECISIONS = sum(rows * steps for rows, steps in parity.STEPS.items())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(11)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the comparison, for tests that do not depend on it."""
    monkeypatch.setattr(parity, "STEPS", {1: 20, 3: 10})


VARIANTS: dict[str, tuple[dict[str, Any], bool]] = {
    "as it comes, without statistics": ({}, False),
    "one layer of 64, as it comes": ({"lstm_hidden_size": 64}, True),
    "one layer of 16, shared": ({"lstm_hidden_size": 16, "shared_lstm": True, "enable_critic_lstm": False}, True),
    "two layers of 16, critic without": (
        {"lstm_hidden_size": 16, "n_lstm_layers": 2, "enable_critic_lstm": False, "net_arch": []},
        True,
    ),
    "two layers of 64, shared, ReLU": (
        {
            "lstm_hidden_size": 64,
            "n_lstm_layers": 2,
            "shared_lstm": True,
            "enable_critic_lstm": False,
            "activation_fn": torch.nn.ReLU,
            "net_arch": {"pi": [32, 16], "vf": [8]},
        },
        False,
    ),
    "three layers of 8, own extractors, no bias": (
        {
            "lstm_hidden_size": 8,
            "n_lstm_layers": 3,
            "share_features_extractor": False,
            "lstm_kwargs": {"bias": False},
            "net_arch": {"vf": [8]},
        },
        True,
    ),
}


@pytest.mark.parametrize(("policy_kwargs", "normalised"), VARIANTS.values(), ids=VARIANTS.keys())
def test_exported_policy_has_parity_with_torch(policy_kwargs: dict[str, Any], normalised: bool, tmp_path: Path) -> None:
    source = trained(tmp_path, policy_kwargs)
    out = tmp_path / "models" / "usdcop" / "1" / "model.onnx"
    made = export(source.zip, out, vecnormalize=source.statistics if normalised else None)

    assert made.parity.holds
    assert made.parity.decisions == DECISIONS
    assert made.parity.resets > 50
    assert "parity with torch over 2,860 steps, 9,740 decisions" in made.report()
    assert [path.name for path in out.parent.iterdir()] == ["model.onnx"]
    assert check(out).startswith(f"{out}: will serve")
    assert made.specification.layers == policy_kwargs.get("n_lstm_layers", 1)
    assert made.specification.hidden_size == policy_kwargs.get("lstm_hidden_size", 256)
    assert made.specification.seed == "5"
    assert json.loads(made.specification.normalisation)["kind"] == ("in_graph" if normalised else "none")


def test_file_sb3_and_numpy_agree_over_a_long_run(tmp_path: Path) -> None:
    """Compare the file, RecurrentPPO loaded by sb3-contrib behind VecNormalize, and the reference in numpy."""
    source = trained(tmp_path, {"lstm_hidden_size": 24, "n_lstm_layers": 2}, steps=64)
    policy = OnnxPolicy(export(source.zip, tmp_path / "model.onnx", vecnormalize=source.statistics).path)
    model = sb3_contrib.RecurrentPPO.load(source.zip, device="cpu")
    statistics = vec_env.VecNormalize.load(str(source.statistics), vec_env.DummyVecEnv([Market]))
    reference = in_numpy(model, statistics)

    state = policy.initial_state()
    torch_state = (torch.zeros(2, 1, 24), torch.zeros(2, 1, 24))
    for observation in observations(1000):
        found, state = policy.decide(observation, state)
        with torch.no_grad():
            normalised = torch.from_numpy(statistics.normalize_obs(observation[np.newaxis]))
            distribution, torch_state = model.policy.get_distribution(normalised, torch_state, torch.zeros(1))
        by_torch = distribution.distribution.probs[0].numpy()
        assert np.abs(numbers(found) - by_torch).max() < 1e-5
        assert np.abs(numbers(found) - reference.decide(observation)).max() < 1e-5
        assert np.abs(state.hidden - torch_state[0][:, 0].numpy()).max() < 1e-5
        assert np.abs(state.hidden - np.stack(reference.hidden)).max() < 1e-5


def numbers(probabilities: Probabilities | None) -> list[float]:
    assert probabilities is not None
    return [probabilities.hold, probabilities.buy, probabilities.sell]


def small(folder: Path, **policy_kwargs: Any) -> Trained:
    return trained(folder, {"lstm_hidden_size": 8, "net_arch": [6], **policy_kwargs})


@pytest.mark.parametrize("activation", sorted(onnx_graph.ACTIVATIONS))
@pytest.mark.usefixtures("quick")
def test_every_activation_matches_torch(activation: str, tmp_path: Path) -> None:
    source = small(tmp_path, activation_fn=getattr(torch.nn, activation))
    made = export(source.zip, tmp_path / "model.onnx")
    assert made.parity.output_difference < 1e-6


@pytest.mark.parametrize("batch", ["one by one", "in a batch"])
@pytest.mark.parametrize(
    "mistake",
    ["gates in the order of torch", "state forgotten", "normalised wrongly"],
)
def test_wrong_graph_is_refused(mistake: str, batch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "STEPS", {1: 20} if batch == "one by one" else {3: 10})
    source = small(tmp_path)
    if mistake == "gates in the order of torch":
        monkeypatch.setattr(onnx_graph, "_gates", lambda values: values)
    elif mistake == "state forgotten":
        decide, decide_batch = OnnxPolicy.decide, OnnxPolicy.decide_batch
        monkeypatch.setattr(OnnxPolicy, "decide", lambda self, o, _: decide(self, o, self.initial_state()))
        monkeypatch.setattr(
            OnnxPolicy, "decide_batch", lambda self, o, s: decide_batch(self, o, [self.initial_state()] * len(s))
        )
    else:
        monkeypatch.setattr(onnx_graph, "_normalised", lambda *_: "observation")
    with pytest.raises(ExportRefused, match=r"differently in ONNX and in torch: .*model\.onnx is not written"):
        export(source.zip, tmp_path / "model.onnx", vecnormalize=source.statistics)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy.zip", "statistics.pkl"]


def test_policy_that_magnifies_rounding_has_its_own_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "STEPS", {1: 300, 3: 100})
    source = trained(tmp_path, {"lstm_hidden_size": 32, "net_arch": []})
    model = sb3_contrib.RecurrentPPO.load(source.zip, device="cpu")
    with torch.no_grad():
        # Large recurrent weights and small input weights make the recurrence chaotic.
        model.policy.lstm_actor.weight_hh_l0.mul_(15.0)
        model.policy.lstm_actor.weight_ih_l0.mul_(0.2)
    model.save(source.zip)
    with pytest.raises(
        ExportRefused, match=r"each step agrees with torch to .*, but its recurrence magnifies rounding"
    ):
        export(source.zip, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.usefixtures("quick")
def test_actions_are_reordered_to_hold_buy_sell(tmp_path: Path) -> None:
    source = small(tmp_path)
    ours = OnnxPolicy(export(source.zip, tmp_path / "ours.onnx").path)
    theirs = OnnxPolicy(export(source.zip, tmp_path / "theirs.onnx", actions=("SELL", "HOLD", "BUY")).path)
    for observation in observations(20):
        expected, _ = ours.decide(observation, ours.initial_state())
        found, _ = theirs.decide(observation, theirs.initial_state())
        assert expected is not None
        assert numbers(found) == pytest.approx([expected.buy, expected.sell, expected.hold], abs=1e-6)
    assert theirs.specification.actions == ("SELL", "HOLD", "BUY")


@pytest.mark.usefixtures("quick")
def test_options_are_written_to_the_metadata(tmp_path: Path) -> None:
    source = small(tmp_path)
    span = (datetime(2021, 1, 4, tzinfo=UTC), datetime(2022, 12, 30, tzinfo=UTC))
    made = export(
        source.zip,
        tmp_path / "model.onnx",
        name="usdcop",
        version="2024.1",
        reset=ResetRule.NEVER,
        training_range=span,
        git_revision="0123abc",
    ).specification
    assert (made.name, made.version, made.type) == ("usdcop", "2024.1", "PPO-LSTM")
    assert (made.reset, made.training_range, made.git_revision) == (ResetRule.NEVER, span, "0123abc")


@pytest.mark.usefixtures("quick")
def test_same_policy_gives_the_same_file(tmp_path: Path) -> None:
    source = small(tmp_path)
    one, other = (export(source.zip, tmp_path / name) for name in ("one.onnx", "other.onnx"))
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.specification.name == "policy"


@pytest.mark.usefixtures("quick")
def test_existing_file_is_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path)
    out = tmp_path / "model.onnx"
    made = export(source.zip, out).path.read_bytes()
    assert out.stat().st_mode & 0o777 == source.zip.stat().st_mode & 0o777
    refusal = r"model\.onnx: exists already and is not overwritten; name the file of a new version with --out"
    with pytest.raises(ExportRefused, match=refusal):
        export(source.zip, out, reset=ResetRule.NEVER)
    assert out.read_bytes() == made
    # Neither is a file that is created while the export runs.
    raced = tmp_path / "raced.onnx"
    compare = parity.compare

    def slow(*arguments: Any, **options: Any) -> Any:
        raced.write_bytes(b"of another")
        return compare(*arguments, **options)

    monkeypatch.setattr("tradingsignals_server.commands.export.compare", slow)
    with pytest.raises(ExportRefused, match="exists already"):
        export(source.zip, raced)
    assert raced.read_bytes() == b"of another"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("quick")
def test_derived_version_depends_on_the_whole_file(tmp_path: Path) -> None:
    source = small(tmp_path)
    changes: list[dict[str, Any]] = [
        {},
        {"reset": ResetRule.NEVER},
        {"vecnormalize": source.statistics},
        {"actions": ("SELL", "HOLD", "BUY")},
        {"name": "other"},
    ]
    made = [
        export(source.zip, tmp_path / f"{index}.onnx", **options).specification for index, options in enumerate(changes)
    ]
    assert len({specification.version for specification in made}) == len(changes)


@pytest.mark.usefixtures("quick")
def test_recorded_observations_are_compared_too(tmp_path: Path) -> None:
    source = trained(tmp_path, {"lstm_hidden_size": 8, "net_arch": [6]}, steps=32)
    made = export(source.zip, tmp_path / "one.onnx", vecnormalize=source.statistics)
    assert made.parity.recorded == 1, "the original observation that the zip stores"
    np.save(tmp_path / "recorded.npy", OBSERVED[:50])
    made = export(
        source.zip,
        tmp_path / "two.onnx",
        vecnormalize=source.statistics,
        observations=tmp_path / "recorded.npy",
    )
    assert made.parity.recorded == 51
    assert "and 51 recorded observations:" in made.report()
