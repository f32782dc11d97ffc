"""Clients that other people's generators write from the OpenAPI document: they compile, and their calls work."""

from __future__ import annotations

import asyncio
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.support.deadlines import within
from tests.support.service import RunningService

ROOT = Path(__file__).parents[2]
OPENAPI = ROOT / "envoy" / "openapi.json"
TOOLS = ROOT / "clients" / "node_modules"
NODE = shutil.which("node")

PROGRAM = """
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const client = createClient<paths>({ baseUrl: process.argv[2] });
const listed = await client.GET("/api/signals/history", { params: { query: { limit: 2, action: "HOLD" } } });
const signals: components["schemas"]["Signal"][] = listed.data!.signals;
// @ts-expect-error limit is a number
client.GET.bind(null, "/api/signals/history", { params: { query: { limit: "2" } } });
const refused = await client.GET("/api/signals/history", { params: { query: { limit: 0 } } });
const reason: components["schemas"]["ErrorReason"] | undefined = refused.error?.details[0]?.reason;
const made = await client.POST("/api/signals/generate", { body: { symbol: "USDCOP", close_price: 4250.5 } });
const actions = signals.map((each) => each.action);
console.log(JSON.stringify({ actions, reason, price: made.data?.signal.entry_price }));
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The client that openapi-python-client writes."""
    folder = tmp_path_factory.mktemp("generated")
    config = folder / "config.yml"
    config.write_text("post_hooks: []\n")
    tool = Path(sys.executable).with_name("openapi-python-client")
    options = ("--meta", "none", "--config", config, "--path", OPENAPI, "--output-path", folder / "made_client")
    done = subprocess.run([tool, "generate", *options], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert b"WARNING" not in done.stdout, done.stdout.decode()
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("made_client")
    finally:
        sys.path.remove(str(folder))


def part(name: str) -> Any:
    """Return a module of the generated client."""
    return importlib.import_module(f"made_client.{name}")


async def test_generated_python_client_calls_the_service(generated: Any, service: RunningService) -> None:
    models, errors = part("models"), part("models.error")
    async with generated.Client(base_url=f"http://{service.address}") as client:
        history = part("api.signal_service.list_signals")
        listed = await history.asyncio(client=client, limit=2, action=models.SignalAction.HOLD)
        assert [signal.action for signal in listed.signals] == [models.SignalAction.HOLD] * 2
        assert listed.signals[0].timestamp.tzinfo is not None
        refused = await history.asyncio(client=client, limit=0)
        assert isinstance(refused, errors.Error)
        assert refused.details[0].reason == models.ErrorReason.INVALID_FIELD
        assert refused.details[1].field_violations[0].field == "limit"
        request = models.GenerateSignalRequest(symbol="USDCOP", close_price=4250.5)
        made = await part("api.signal_service.generate_signal").asyncio(client=client, body=request)
        assert made.signal.entry_price == 4250.5
        explain = part("api.signal_service.explain_signal")
        assert (await explain.asyncio(made.signal.signal_id, client=client)).explanation.rules


@pytest.mark.skipif(
    NODE is None or not (TOOLS / "openapi-fetch").exists(), reason="the packages of clients/ are not installed (npm ci)"
)
async def test_generated_typescript_types_fit_the_service(service: RunningService, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(TOOLS)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "program.ts").write_text(PROGRAM)

    async def run(*command: str | Path) -> bytes:
        process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=-1, stderr=-1)
        out, errors = await within(process.communicate())
        assert process.returncode == 0, (out + errors).decode()
        return out

    await run(TOOLS / ".bin" / "openapi-typescript", OPENAPI, "--output", "api.d.ts")
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "--skipLibCheck")
    await run(TOOLS / ".bin" / "tsc", *options, "program.ts")
    found = json.loads(await run("node", "program.js", f"http://{service.address}"))
    assert found == {"actions": ["HOLD", "HOLD"], "reason": "INVALID_FIELD", "price": 4250.5}
