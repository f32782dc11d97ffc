# Generated from _async/service.py by `make generate`; do not edit.
"""The service itself and its models."""

from __future__ import annotations

import grpc

from tradingsignals.v1 import model_service_pb2, system_service_pb2
from tradingsignals.v1.model_service_pb2 import GetModelInfoResponse, ReloadModelResponse
from tradingsignals.v1.system_service_pb2 import GetHealthResponse, GetServiceInfoResponse

from ..errors import detail_of, from_rpc_error
from .caller import Caller


class ServiceMethods(Caller):
    """The methods about the service itself and its models."""

    def service_info(self) -> GetServiceInfoResponse:
        """Return the version and settings of the service, and the newest sequence of its event log."""
        return self._unary(self._system.GetServiceInfo, system_service_pb2.GetServiceInfoRequest())

    def health(self) -> GetHealthResponse:
        """Return the health of the service, "unhealthy" included. Raises Unavailable if there is no response."""
        try:
            return self._system.GetHealth(system_service_pb2.GetHealthRequest(), timeout=self._timeout)
        except grpc.RpcError as error:
            report = detail_of(error, GetHealthResponse)
            if report is None:
                raise from_rpc_error(error) from error
            return report

    def model_info(self) -> GetModelInfoResponse:
        """Return the policy that decides (`model`) and, if any, the one that is only recorded (`shadow`)."""
        return self._unary(self._model.GetModelInfo, model_service_pb2.GetModelInfoRequest())

    def reload_model(self) -> ReloadModelResponse:
        """Load a newer policy now, if there is one. Raises FailedPrecondition if it is not usable."""
        return self._unary(self._model.ReloadModel, model_service_pb2.ReloadModelRequest())
