import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tradingsignals.v1 import bar_pb2 as _bar_pb2
from tradingsignals.v1 import signal_pb2 as _signal_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Explanation(_message.Message):
    __slots__ = ("signal", "inputs", "features", "log_odds", "rules", "attribution", "missing")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    LOG_ODDS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    signal: _signal_pb2.Signal
    inputs: SignalInputs
    features: _containers.RepeatedCompositeFieldContainer[ExplainedFeature]
    log_odds: ActionLogOdds
    rules: _containers.RepeatedCompositeFieldContainer[RuleResult]
    attribution: Attribution
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, signal: _Optional[_Union[_signal_pb2.Signal, _Mapping]] = ..., inputs: _Optional[_Union[SignalInputs, _Mapping]] = ..., features: _Optional[_Iterable[_Union[ExplainedFeature, _Mapping]]] = ..., log_odds: _Optional[_Union[ActionLogOdds, _Mapping]] = ..., rules: _Optional[_Iterable[_Union[RuleResult, _Mapping]]] = ..., attribution: _Optional[_Union[Attribution, _Mapping]] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class SignalInputs(_message.Message):
    __slots__ = ("model", "feature_specification", "window_bars", "first_bar_time", "window_hash", "indicator_bars", "recurrent_state_hash", "next_recurrent_state_hash", "recurrent_state_bytes", "held_position", "quote", "settings")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SPECIFICATION_FIELD_NUMBER: _ClassVar[int]
    WINDOW_BARS_FIELD_NUMBER: _ClassVar[int]
    FIRST_BAR_TIME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_HASH_FIELD_NUMBER: _ClassVar[int]
    INDICATOR_BARS_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_STATE_HASH_FIELD_NUMBER: _ClassVar[int]
    NEXT_RECURRENT_STATE_HASH_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_STATE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HELD_POSITION_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    model: str
    feature_specification: str
    window_bars: int
    first_bar_time: _timestamp_pb2.Timestamp
    window_hash: str
    indicator_bars: int
    recurrent_state_hash: str
    next_recurrent_state_hash: str
    recurrent_state_bytes: int
    held_position: HeldPosition
    quote: _containers.RepeatedCompositeFieldContainer[QuotedValue]
    settings: str
    def __init__(self, model: _Optional[str] = ..., feature_specification: _Optional[str] = ..., window_bars: _Optional[int] = ..., first_bar_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_hash: _Optional[str] = ..., indicator_bars: _Optional[int] = ..., recurrent_state_hash: _Optional[str] = ..., next_recurrent_state_hash: _Optional[str] = ..., recurrent_state_bytes: _Optional[int] = ..., held_position: _Optional[_Union[HeldPosition, _Mapping]] = ..., quote: _Optional[_Iterable[_Union[QuotedValue, _Mapping]]] = ..., settings: _Optional[str] = ...) -> None: ...

class QuotedValue(_message.Message):
    __slots__ = ("field", "value")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    field: str
    value: float
    def __init__(self, field: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class HeldPosition(_message.Message):
    __slots__ = ("action", "entry_time", "pnl_pct", "r_multiple", "bars_held")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ENTRY_TIME_FIELD_NUMBER: _ClassVar[int]
    PNL_PCT_FIELD_NUMBER: _ClassVar[int]
    R_MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    BARS_HELD_FIELD_NUMBER: _ClassVar[int]
    action: _signal_pb2.Signal.Action
    entry_time: _timestamp_pb2.Timestamp
    pnl_pct: float
    r_multiple: float
    bars_held: int
    def __init__(self, action: _Optional[_Union[_signal_pb2.Signal.Action, str]] = ..., entry_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pnl_pct: _Optional[float] = ..., r_multiple: _Optional[float] = ..., bars_held: _Optional[int] = ...) -> None: ...

class ExplainedFeature(_message.Message):
    __slots__ = ("name", "expression", "group", "unit", "bars_ago", "value", "observed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    BARS_AGO_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    name: str
    expression: str
    group: str
    unit: str
    bars_ago: int
    value: float
    observed: float
    def __init__(self, name: _Optional[str] = ..., expression: _Optional[str] = ..., group: _Optional[str] = ..., unit: _Optional[str] = ..., bars_ago: _Optional[int] = ..., value: _Optional[float] = ..., observed: _Optional[float] = ...) -> None: ...

class ActionLogOdds(_message.Message):
    __slots__ = ("hold", "buy", "sell")
    HOLD_FIELD_NUMBER: _ClassVar[int]
    BUY_FIELD_NUMBER: _ClassVar[int]
    SELL_FIELD_NUMBER: _ClassVar[int]
    hold: float
    buy: float
    sell: float
    def __init__(self, hold: _Optional[float] = ..., buy: _Optional[float] = ..., sell: _Optional[float] = ...) -> None: ...

class RuleResult(_message.Message):
    __slots__ = ("rule", "verdict", "value", "limit", "sentence")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[RuleResult.Verdict]
        PASSED: _ClassVar[RuleResult.Verdict]
        STOPPED: _ClassVar[RuleResult.Verdict]
        NOT_REACHED: _ClassVar[RuleResult.Verdict]
    VERDICT_UNSPECIFIED: RuleResult.Verdict
    PASSED: RuleResult.Verdict
    STOPPED: RuleResult.Verdict
    NOT_REACHED: RuleResult.Verdict
    RULE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    verdict: RuleResult.Verdict
    value: float
    limit: float
    sentence: str
    def __init__(self, rule: _Optional[str] = ..., verdict: _Optional[_Union[RuleResult.Verdict, str]] = ..., value: _Optional[float] = ..., limit: _Optional[float] = ..., sentence: _Optional[str] = ...) -> None: ...

class Attribution(_message.Message):
    __slots__ = ("action", "log_odds", "baseline_log_odds", "baseline", "contributions")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    LOG_ODDS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_LOG_ODDS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    action: _signal_pb2.Signal.Action
    log_odds: float
    baseline_log_odds: float
    baseline: str
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]
    def __init__(self, action: _Optional[_Union[_signal_pb2.Signal.Action, str]] = ..., log_odds: _Optional[float] = ..., baseline_log_odds: _Optional[float] = ..., baseline: _Optional[str] = ..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping]]] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("group", "log_odds", "features")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LOG_ODDS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    group: str
    log_odds: float
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, group: _Optional[str] = ..., log_odds: _Optional[float] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class Replay(_message.Message):
    __slots__ = ("signal", "equal", "differences", "causes")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    signal: _signal_pb2.Signal
    equal: bool
    differences: _containers.RepeatedCompositeFieldContainer[FieldDifference]
    causes: _containers.RepeatedCompositeFieldContainer[ReplayCause]
    def __init__(self, signal: _Optional[_Union[_signal_pb2.Signal, _Mapping]] = ..., equal: _Optional[bool] = ..., differences: _Optional[_Iterable[_Union[FieldDifference, _Mapping]]] = ..., causes: _Optional[_Iterable[_Union[ReplayCause, _Mapping]]] = ...) -> None: ...

class FieldDifference(_message.Message):
    __slots__ = ("field", "stored", "recomputed")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    RECOMPUTED_FIELD_NUMBER: _ClassVar[int]
    field: str
    stored: str
    recomputed: str
    def __init__(self, field: _Optional[str] = ..., stored: _Optional[str] = ..., recomputed: _Optional[str] = ...) -> None: ...

class ReplayCause(_message.Message):
    __slots__ = ("kind", "description", "bar_time", "stored_bar", "original_bar")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ReplayCause.Kind]
        BAR: _ClassVar[ReplayCause.Kind]
        MODEL: _ClassVar[ReplayCause.Kind]
        SETTINGS: _ClassVar[ReplayCause.Kind]
        RECURRENT_STATE: _ClassVar[ReplayCause.Kind]
        SIGNAL: _ClassVar[ReplayCause.Kind]
    KIND_UNSPECIFIED: ReplayCause.Kind
    BAR: ReplayCause.Kind
    MODEL: ReplayCause.Kind
    SETTINGS: ReplayCause.Kind
    RECURRENT_STATE: ReplayCause.Kind
    SIGNAL: ReplayCause.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BAR_TIME_FIELD_NUMBER: _ClassVar[int]
    STORED_BAR_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_BAR_FIELD_NUMBER: _ClassVar[int]
    kind: ReplayCause.Kind
    description: str
    bar_time: _timestamp_pb2.Timestamp
    stored_bar: _bar_pb2.Bar
    original_bar: _bar_pb2.Bar
    def __init__(self, kind: _Optional[_Union[ReplayCause.Kind, str]] = ..., description: _Optional[str] = ..., bar_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stored_bar: _Optional[_Union[_bar_pb2.Bar, _Mapping]] = ..., original_bar: _Optional[_Union[_bar_pb2.Bar, _Mapping]] = ...) -> None: ...
