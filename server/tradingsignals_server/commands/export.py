"""`tradingsignals export`: a RecurrentPPO zip of sb3-contrib becomes a model file that is proven to decide the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..adapters.onnx.errors import ExportRefused
from ..adapters.onnx.metadata import ACTIONS, NOTHING, Metadata, OutputKind, range_text
from ..adapters.onnx.model_file import ModelRefused, ModelSpecification
from ..adapters.onnx.policy import OnnxPolicy
from ..domain.recurrent_state import ResetRule

if TYPE_CHECKING:
    from ..adapters.onnx.graph import Normalisation
    from .parity import Parity

__all__ = ["ExportRefused", "Exported", "export", "parse_actions", "parse_range"]

Range = tuple[datetime, datetime]

_PACKAGES = {"onnx": "onnx", "torch": "torch", "gymnasium": "gymnasium", "sb3_contrib": "sb3-contrib"}
"""What exporting needs beyond serving: module and package."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A model file that was written, and how it compares with what it was made of."""

    path: Path
    specification: ModelSpecification
    parity: Parity

    def report(self) -> str:
        """What to tell who asked for it, some lines."""
        made, parity = self.specification, self.parity
        return (
            f"{self.path}: {made.name} {made.version}, LSTM of {made.layers} x {made.hidden_size}\n"
            f"  parity with torch over {parity.steps} steps, {parity.decisions} decisions, {parity.resets} resets:\n"
            f"  probabilities differ by at most {parity.probability_difference:.1e}, "
            f"states by {parity.state_difference:.1e}\n"
            f"  sha256 {made.file_sha256}"
        )


def export(
    policy: Path,
    out: Path,
    *,
    vecnormalize: Path | None = None,
    name: str | None = None,
    version: str | None = None,
    reset: ResetRule = ResetRule.SESSION,
    training_range: Range | None = None,
    temperature: float | None = None,
    calibration_range: Range | None = None,
    actions: Sequence[str] = ACTIONS,
    git_revision: str | None = None,
) -> Exported:
    """Write the policy in the zip `policy` to the model file `out`.

    vecnormalize: what VecNormalize.save() wrote, if the policy was trained behind it.
    name: that of the zip if it is not given. version: the beginning of a hash of the graph if it is not given.
    reset: SESSION or NEVER, as episodes began in training.
    temperature: what the logits are divided by, above 0; calibration_range: the data it was found on.
    actions: what actions 0, 1 and 2 were in training. The file has HOLD, BUY, SELL in any case.

    `out` is written only if the file serves and decides as torch does.

    Raises:
        ExportRefused: the policy cannot be exported, or an argument or the machine is not fit for it.
        ModelRefused: the file that was made would not serve.
    """
    _require_packages()
    # Only now, for they import torch: serving and checking do without it.
    from ..adapters import stable_baselines as trained  # noqa: PLC0415
    from ..adapters.onnx.graph import build_model  # noqa: PLC0415
    from .parity import compare  # noqa: PLC0415

    if sorted(actions) != sorted(ACTIONS):
        raise ExportRefused(f"--actions {','.join(actions)}: {', '.join(ACTIONS)} are needed, each once")
    if temperature is not None and not 0.0 < temperature < float("inf"):
        raise ExportRefused(f"--temperature {temperature}: a number above 0 is needed")
    if reset is ResetRule.NONE:
        raise ExportRefused("--reset none: a RecurrentPPO policy has a state; session or never is needed")
    source = trained.read_policy(policy)
    statistics = None if vecnormalize is None else trained.read_statistics(vecnormalize)
    normalisation = None if statistics is None else trained.normalisation_of(statistics)
    weights = trained.weights_of(policy, source.network, actions, normalisation, temperature)
    metadata = Metadata(
        name=name or policy.stem,
        version=version or hashlib.sha256(build_model(weights, {})).hexdigest()[:12],
        type="PPO-LSTM",
        output=OutputKind.PROBABILITIES,
        reset=reset,
        normalisation=_normalisation_text(normalisation),
        calibration=_calibration_text(temperature, calibration_range),
        training_range=training_range,
        git_revision=git_revision,
        seed=None if source.seed is None else str(source.seed),
    )
    content = build_model(weights, metadata.to_properties())
    with _written_beside(out, content) as written:
        try:
            exported = OnnxPolicy(written)
        except ModelRefused as refused:
            raise ModelRefused(out, refused.reason) from refused
        witness = trained.TorchWitness(source.network, statistics, actions, temperature)
        with trained.one_thread():
            parity = compare(exported, witness, normalisation)
            if not parity.holds:
                step = compare(exported, witness, normalisation, carried=False)
                raise ExportRefused(f"{policy}: {_difference(parity, step)}; {out} is not written")
        written.replace(out)
    return Exported(out, exported.specification, parity)


def parse_range(text: str) -> Range:
    """`2021-01-04..2022-12-30` as two instants, UTC where no zone is named; a day alone is its first instant.

    Raises:
        ExportRefused: it is no range.
    """
    ends = text.split("..")
    try:
        start, end = (datetime.fromisoformat(end) for end in ends)
    except ValueError as error:
        raise ExportRefused(f"{text}: a range such as 2021-01-04..2022-12-30 is needed") from error
    start, end = (instant if instant.tzinfo else instant.replace(tzinfo=UTC) for instant in (start, end))
    if start > end:
        raise ExportRefused(f"{text}: ends before it begins")
    return start, end


def parse_actions(text: str) -> tuple[str, ...]:
    """`HOLD,BUY,SELL` in any order."""
    return tuple(action.strip().upper() for action in text.split(","))


def _require_packages() -> None:
    if missing := [package for module, package in _PACKAGES.items() if find_spec(module) is None]:
        raise ExportRefused(
            f"to export takes {', '.join(missing)}, which serving does not: pip install 'tradingsignals-server[train]'"
        )


@contextmanager
def _written_beside(out: Path, content: bytes) -> Iterator[Path]:
    """`content` in a file in the folder of `out`, which is made if need be; gone afterwards if it was not moved."""
    # Not yet under its name: a service that watches the folder takes what it finds there.
    written = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        written.write_bytes(content)
        yield written
    except OSError as error:
        raise ExportRefused(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            written.unlink()


def _difference(run: Parity, step: Parity) -> str:
    """Why there is no parity over a run, given also how far single steps from the same state agree."""
    if step.holds:
        apart = max(run.probability_difference, run.state_difference)
        return (
            f"each step agrees with torch to {step.state_difference:.0e}, but its recurrence magnifies rounding to "
            f"{apart:.0e} over a run, so no two machines would agree on what it decides; train it with smaller weights"
        )
    return (
        f"decides otherwise in ONNX than in torch: probabilities differ by up to {run.probability_difference:.1e} "
        f"and states by {run.state_difference:.1e}"
    )


def _normalisation_text(normalisation: Normalisation | None) -> str:
    if normalisation is None:
        return NOTHING
    return json.dumps(
        {
            "kind": "in_graph",
            "mean": normalisation.mean.tolist(),
            "variance": normalisation.variance.tolist(),
            "epsilon": normalisation.epsilon,
            "clip": normalisation.clip,
        }
    )


def _calibration_text(temperature: float | None, calibration_range: Range | None) -> str:
    if temperature is None:
        return NOTHING
    on = None if calibration_range is None else json.loads(range_text(calibration_range))
    return json.dumps({"kind": "temperature", "temperature": temperature, "range": on})
