"""Explanations and replays of signals as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tradingsignals.v1 import explanation_pb2 as pb
from tradingsignals.v1 import signal_pb2

from ...application.explain.attribution import Attribution
from ...application.explain.differences import CauseKind, ReplayCause
from ...application.explain.explanation import SignalExplanation
from ...application.explain.service import Explained, Replayed
from ...application.ports.inputs import HeldAtDecision, SignalInputs
from ...domain.decision_settings import UnreadableSettings, parse_settings
from ...domain.rule_results import RuleResult, RuleVerdict
from ...domain.signals import Action
from .to_proto import bar_message, timestamp

_ACTIONS: Mapping[Action, Any] = {action: signal_pb2.Signal.Action.Value(action) for action in Action}
_VERDICTS: Mapping[RuleVerdict, Any] = {one: pb.RuleResult.Verdict.Value(one) for one in RuleVerdict}
_CAUSES: Mapping[CauseKind, Any] = {one: pb.ReplayCause.Kind.Value(one) for one in CauseKind}


def explanation_message(explained: Explained) -> pb.Explanation:
    """Why a signal was given."""
    stored, found = explained.stored, explained.explanation
    return pb.Explanation(
        signal=signal_pb2.Signal.FromString(stored.message),
        inputs=None if stored.inputs is None else inputs_message(stored.inputs),
        features=[
            pb.ExplainedFeature(
                name=one.name,
                expression=one.expression,
                group=one.group,
                unit=one.unit,
                bars_ago=one.bars_ago,
                value=one.value,
                observed=one.observed,
            )
            for one in found.features
        ],
        log_odds=_log_odds(found),
        rules=list(map(_rule, found.rules)),
        attribution=None if found.attribution is None else _attribution(found.attribution),
        missing=found.missing,
    )


def inputs_message(inputs: SignalInputs) -> pb.SignalInputs:
    """What a signal was made from."""
    try:
        settings = parse_settings(inputs.settings)
        model, features = settings.policy, settings.features
    except UnreadableSettings:
        model = features = ""
    first = None if inputs.first_bar is None else datetime.fromtimestamp(inputs.first_bar, UTC)
    return pb.SignalInputs(
        model=model,
        feature_specification=features,
        window_bars=inputs.window_bars,
        first_bar_time=None if first is None else timestamp(first),
        window_hash=inputs.window_hash.hex(),
        indicator_bars=inputs.indicator_bars,
        recurrent_state_hash=inputs.state_hash.hex(),
        next_recurrent_state_hash=inputs.next_state_hash.hex(),
        recurrent_state_bytes=len(inputs.state),
        held_position=None if inputs.held is None else _held(inputs.held),
        quote=[pb.QuotedValue(field=field, value=value) for field, value in (inputs.quote or {}).items()],
        settings=inputs.settings,
    )


def replay_message(replayed: Replayed) -> pb.Replay:
    """Whether a signal comes out again."""
    found = replayed.replay
    return pb.Replay(
        signal=signal_pb2.Signal.FromString(replayed.stored.message),
        equal=found.equal,
        differences=[
            pb.FieldDifference(field=one.field, stored=one.stored, recomputed=one.recomputed)
            for one in found.differences
        ],
        causes=list(map(_cause, found.causes)),
    )


def _held(held: HeldAtDecision) -> pb.HeldPosition:
    return pb.HeldPosition(
        action=_ACTIONS[held.action],
        entry_time=timestamp(held.entry_time),
        pnl_pct=held.pnl_pct,
        r_multiple=held.r_multiple,
        bars_held=held.bars_held,
    )


def _log_odds(found: SignalExplanation) -> pb.ActionLogOdds | None:
    odds = dict(found.log_odds)
    return pb.ActionLogOdds(hold=odds[Action.HOLD], buy=odds[Action.BUY], sell=odds[Action.SELL]) if odds else None


def _rule(result: RuleResult) -> pb.RuleResult:
    return pb.RuleResult(
        rule=result.rule,
        verdict=_VERDICTS[result.verdict],
        value=result.value,
        limit=result.limit,
        sentence=result.sentence,
    )


def _attribution(found: Attribution) -> pb.Attribution:
    return pb.Attribution(
        action=_ACTIONS[found.action],
        log_odds=found.log_odds,
        baseline_log_odds=found.baseline_log_odds,
        baseline=found.baseline,
        contributions=[
            pb.Contribution(group=one.group, log_odds=one.log_odds, features=one.features)
            for one in found.contributions
        ],
    )


def _cause(cause: ReplayCause) -> pb.ReplayCause:
    return pb.ReplayCause(
        kind=_CAUSES[cause.kind],
        description=cause.sentence,
        bar_time=None if cause.time is None else timestamp(cause.time),
        stored_bar=None if cause.stored is None else bar_message(cause.stored),
        original_bar=None if cause.original is None else bar_message(cause.original),
    )
