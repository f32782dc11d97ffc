"""Run all checks and print what they found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from ...config.settings import InvalidSettings, Settings
from .certificates import check_certificates
from .feed import check_feed
from .finding import Finding, Level, ok, problem
from .machine import check_exposure, check_folders, check_limits, check_ports, check_programs
from .model import check_models
from .storage import check_database

_MARKS = {Level.OK: ("ok", "green"), Level.WARNING: ("warning", "yellow"), Level.PROBLEM: ("PROBLEM", "bold red")}


async def doctor(*, as_json: bool) -> int:
    """Check the set-up and print the findings; the exit code is 1 if there is a problem."""
    findings = await all_findings()
    if as_json:
        print(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        _show(findings)
    return int(any(each.level is Level.PROBLEM for each in findings))


async def all_findings() -> list[Finding]:
    """Return what every check found. With wrong settings nothing else can be checked."""
    try:
        settings = Settings.from_env()
    except InvalidSettings as error:
        return [problem("settings", str(error), "`tradingsignals config` lists all settings")]
    findings = [ok("settings", "valid"), *check_programs(settings), *check_folders(settings), *check_limits()]
    findings += [*check_ports(settings), *check_exposure(settings), *check_certificates(settings)]
    findings += await check_database(settings)
    return [*findings, *await check_feed(settings), *check_models(settings)]


def _show(findings: Iterable[Finding]) -> None:
    console = Console(highlight=False)
    for each in findings:
        mark, style = _MARKS[each.level]
        remedy = f" -> {each.remedy}" if each.remedy else ""
        console.print(
            Text.assemble((f"{mark:<8} ", style), f"{each.subject:<20} {each.text}", (remedy, "bold")), soft_wrap=True
        )
