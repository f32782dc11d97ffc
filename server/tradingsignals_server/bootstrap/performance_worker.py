"""Main program of a process that computes performance: reads a pickled PerformanceJob, and writes one response."""

from __future__ import annotations

import asyncio
import sys

from ..adapters.postgres.connection import DatabaseRefused
from ..adapters.postgres.performance import performance_rows
from ..adapters.processes.frames import write_error, write_response
from ..adapters.processes.worker import worker_job
from ..api.mapping.performance import performance_response
from ..application.performance import live_performance
from ..domain.errors import ServiceError, StorageUnavailable
from ..domain.statistics_errors import StatisticsLimit
from .performance_job import PerformanceJob


def main() -> None:
    """Run the job, and write its response."""
    job: PerformanceJob = worker_job()
    out = sys.stdout.buffer
    try:
        rows = asyncio.run(performance_rows(job.dsn, job.query))
        found = live_performance(job.query, rows, job.calendar_of)
        write_response(out, performance_response(found).SerializeToString())
    except ServiceError as error:
        write_error(out, error)
    except DatabaseRefused:
        write_error(out, StorageUnavailable())
    except MemoryError:
        write_error(out, StatisticsLimit("the statistics need more memory than they may take; choose a shorter period"))


if __name__ == "__main__":
    main()
