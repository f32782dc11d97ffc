"""tradingsignals.v1.ModelService."""

from __future__ import annotations

from tradingsignals.v1 import model_pb2
from tradingsignals.v1 import model_service_pb2 as pb

from ...application.decision.pipeline import Pipeline
from ...application.models import ModelKeeper
from ...application.queries import Queries
from ..mapping import to_proto


class ModelServicer:
    """Describes the policies in use, and reloads them."""

    def __init__(self, pipeline: Pipeline, keeper: ModelKeeper, queries: Queries) -> None:
        self._pipeline = pipeline
        self._keeper = keeper
        self._queries = queries

    async def get_model_info(self, _: pb.GetModelInfoRequest) -> pb.GetModelInfoResponse:
        """Describe the live policy, and the shadow if there is one."""
        response = pb.GetModelInfoResponse(model=self._live())
        shadow = self._pipeline.shadow
        if shadow is not None:
            score = await self._queries.store.shadow_score(shadow.policy.description.key)
            response.shadow.CopyFrom(to_proto.shadow_message(shadow, score))
        return response

    async def reload_model(self, _: pb.ReloadModelRequest) -> pb.ReloadModelResponse:
        """Reload the policies now."""
        changed = await self._keeper.reload()
        return pb.ReloadModelResponse(model=self._live(), changed=changed)

    def _live(self) -> model_pb2.Model:
        return to_proto.model_message(self._pipeline.live, self._keeper.versions())
