"""tradingsignals.v1.ModelService."""

from __future__ import annotations

from tradingsignals.v1 import model_service_pb2 as pb

from ..application.pipeline import Pipeline
from . import convert


class ModelServicer:
    """Tells about the policy that decides."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def get_model_info(self, _: pb.GetModelInfoRequest) -> pb.GetModelInfoResponse:
        """The policy in use."""
        model = convert.model_message(self._pipeline.policy.description, self._pipeline.meter)
        return pb.GetModelInfoResponse(model=model)
