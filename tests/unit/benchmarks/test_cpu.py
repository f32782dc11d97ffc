"""Processor time of the measured processes, from /proc."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import cpu
from benchmarks.cpu import Processes, ProcessStat, cpu_figures, metered, parse_stat

TICKS = cpu._TICKS_A_SECOND
SERVICE, POSTMASTER = 100, 200


def stat(pid: int, name: str, parent: int, reaped_ticks: int = 0) -> str:
    """The text of /proc/PID/stat, as proc_pid_stat(5) describes it."""
    before_times = f"S {parent} 1 1 0 -1 4194560 10 20 0 0"
    user, system, reaped_user, reaped_system = 7, 8, reaped_ticks, reaped_ticks
    return f"{pid} ({name}) {before_times} {user} {system} {reaped_user} {reaped_system} 20 0 5 0 123 456 789\n"


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty /proc, in which each process has used a hundredth of its id in seconds."""
    monkeypatch.setattr(cpu, "PROC", tmp_path)
    monkeypatch.setattr(cpu, "_own_seconds", lambda pid: pid / 100)
    (tmp_path / "self").mkdir()
    return tmp_path


def add(proc: Path, pid: int, name: str, parent: int, reaped_ticks: int = 0) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "stat").write_text(stat(pid, name, parent, reaped_ticks))


@pytest.mark.parametrize("name", ["envoy", "a b", "a) S 1 (b", "((("])
def test_a_process_of_any_name_is_read(name: str) -> None:
    assert parse_stat(stat(42, name, 7, TICKS)) == ProcessStat(42, name, 7, 2.0)


def test_processor_time_is_counted_by_program_below_service_and_postmaster(proc: Path) -> None:
    add(proc, 1, "init", 0)
    add(proc, 50, "python", 1)  # the benchmark, which starts both
    add(proc, SERVICE, "python", 50)
    add(proc, 110, "envoy", SERVICE)
    add(proc, 120, "python", SERVICE)
    add(proc, POSTMASTER, "postgres", 50)
    add(proc, 210, "postgres", POSTMASTER)
    add(proc, 300, "postgres", 1)  # of someone else
    add(proc, 310, "python", 50)
    used = Processes(SERVICE, POSTMASTER).cpu_seconds()
    assert used == pytest.approx({"server": 1.0 + 1.2, "Envoy": 1.1, "PostgreSQL": 2.0 + 2.1})


def test_processor_time_of_children_that_ended_counts(proc: Path) -> None:
    add(proc, SERVICE, "python", 50)
    add(proc, POSTMASTER, "postgres", 50, reaped_ticks=TICKS)
    assert Processes(SERVICE, POSTMASTER).cpu_seconds() == pytest.approx({"server": 1.0, "PostgreSQL": 2.0 + 2.0})


async def test_only_the_processor_time_of_the_measurement_counts(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(proc, SERVICE, "python", 50)

    async def measured() -> str:
        add(proc, 210, "postgres", SERVICE)
        monkeypatch.setattr(cpu, "_own_seconds", lambda pid: pid / 100 + 0.5)
        return "result"

    run = await metered(Processes(SERVICE, POSTMASTER), measured)
    assert run.result == "result"
    assert run.cpu_seconds == pytest.approx({"server": 0.5, "PostgreSQL": 2.6})


def test_processor_time_is_divided_by_the_calls_of_each_run() -> None:
    runs = [({"server": 1.0, "Envoy": 0.5}, 1000), ({"server": 4.0, "Envoy": 1.0, "PostgreSQL": 0.2}, 2000)]
    older = [({"server": 3.0}, 1000), ({"server": 8.0}, 1000)]
    (figure,) = cpu_figures("a call", runs, {"durable": older})
    assert (figure.unit, figure.runs) == ("ms CPU", [1.0, 2.0])
    assert figure.besides == pytest.approx({"Envoy": 0.5, "PostgreSQL": 0.05})
    assert figure.older["durable"].runs == [3.0, 8.0]


def test_there_is_no_figure_without_proc_or_without_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cpu, "PROC", tmp_path / "missing")
    assert Processes(SERVICE, POSTMASTER).cpu_seconds() == {}
    assert cpu_figures("a call", [({}, 1000)]) == []
    assert cpu_figures("a call", [({"server": 1.0}, 0)]) == []
