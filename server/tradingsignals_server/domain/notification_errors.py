"""Errors about endpoints of notifications. See errors.py for what an error is.

ServiceError
├── NotFound
│   └── EndpointNotFound
├── EndpointExists              another endpoint has the name
└── FailedPrecondition
    └── TooManyEndpoints
"""

from __future__ import annotations

from .errors import FailedPrecondition, NotFound, ServiceError


class EndpointNotFound(NotFound):
    """No endpoint with this id exists."""

    reason = "ENDPOINT_NOT_FOUND"

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(f"there is no endpoint {endpoint_id}", endpoint_id=endpoint_id)


class EndpointExists(ServiceError):
    """Another endpoint has the name."""

    reason = "ENDPOINT_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f'there is an endpoint with the name "{name}" already', name=name)


class TooManyEndpoints(FailedPrecondition):
    """There are as many endpoints as may be."""

    reason = "TOO_MANY_ENDPOINTS"

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are {limit} endpoints already: delete one first", limit=str(limit))
