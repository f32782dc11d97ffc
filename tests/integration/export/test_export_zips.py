"""`tradingsignals export`: limits of memory for zips."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.trained import SMALL, edited, refusal, trained


def rewritten(path: Path, members: dict[str, bytes]) -> Path:
    """Rewrite the zip, compressed, with members replaced or added."""
    with zipfile.ZipFile(path) as archive:
        there = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (there | members).items():
            archive.writestr(name, content)
    return path


def inflated(size: int) -> bytes:
    """Return a zip of a few kilobytes that unpacks to `size`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(size))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"data": bytes(3 << 20)}, "its member data has more than 1 MiB"),
        ({"policy.pth": bytes(9 << 20)}, "unpacks to more than 8 MiB; train a smaller network"),
        ({"policy.pth": inflated(9 << 20)}, "unpacks to more than 8 MiB; train a smaller network"),
        ({f"extra{number}": b"" for number in range(70)}, "has more than 64 members; save it again"),
    ],
    ids=["data", "weights", "weights that unpack once more", "members"],
)
def test_refuses_a_zip_that_unpacks_to_too_much(
    members: dict[str, bytes], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = "tradingsignals_server.adapters.stable_baselines.archive"
    monkeypatch.setattr(f"{adapter}.MAX_DATA_BYTES", 1 << 20)
    monkeypatch.setattr(f"{adapter}.MAX_WEIGHTS_BYTES", 8 << 20)
    assert expected in refusal(rewritten(trained(tmp_path, SMALL).zip, members))


@pytest.mark.parametrize(
    "policy_kwargs",
    [
        {**SMALL, "lstm_hidden_size": 10**9},
        {**SMALL, "n_lstm_layers": 10**9},
        {**SMALL, "net_arch": [10**9]},
        {**SMALL, "net_arch": {"pi": [6] * 1000, "vf": [6]}},
    ],
    ids=["size", "layers", "width", "depth"],
)
def test_network_larger_than_its_weights_is_refused(policy_kwargs: dict[str, Any], tmp_path: Path) -> None:
    path = edited(lambda data: data.update(policy_kwargs=policy_kwargs))(tmp_path)
    assert "its weights do not fit its policy_kwargs (" in refusal(path)
