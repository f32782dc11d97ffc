"""grpc.health.v1.Health/Check without grpc.aio, for the edge."""

from __future__ import annotations

from typing import Final

from grpc_health.v1.health_pb2 import HealthCheckResponse

HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
HEALTH_WATCH: Final = "/grpc.health.v1.Health/Watch"
"""Served by grpc.aio only."""


class HealthCheck:
    """Reports whether the server serves, whatever service is asked for."""

    def __init__(self) -> None:
        self.is_serving = True

    async def check(self, _: bytes) -> bytes:
        """Respond to a health check."""
        status = HealthCheckResponse.SERVING if self.is_serving else HealthCheckResponse.NOT_SERVING
        message: bytes = HealthCheckResponse(status=status).SerializeToString()
        return message
