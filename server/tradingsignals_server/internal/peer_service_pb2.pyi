from tradingsignals.v1 import bar_pb2 as _bar_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProcessBarsRequest(_message.Message):
    __slots__ = ("bars",)
    BARS_FIELD_NUMBER: _ClassVar[int]
    bars: _containers.RepeatedCompositeFieldContainer[OfferedBar]
    def __init__(self, bars: _Optional[_Iterable[_Union[OfferedBar, _Mapping]]] = ...) -> None: ...

class OfferedBar(_message.Message):
    __slots__ = ("bar", "simulated")
    BAR_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    bar: _bar_pb2.Bar
    simulated: bool
    def __init__(self, bar: _Optional[_Union[_bar_pb2.Bar, _Mapping]] = ..., simulated: _Optional[bool] = ...) -> None: ...

class ProcessBarsResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[BarOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[BarOutcome, _Mapping]]] = ...) -> None: ...

class BarOutcome(_message.Message):
    __slots__ = ("receipt", "refusal")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    receipt: _bar_pb2.BarReceipt
    refusal: BarRefusal
    def __init__(self, receipt: _Optional[_Union[_bar_pb2.BarReceipt, _Mapping]] = ..., refusal: _Optional[_Union[BarRefusal, _Mapping]] = ...) -> None: ...

class BarRefusal(_message.Message):
    __slots__ = ("reason", "metadata", "violations", "message")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    metadata: _containers.ScalarMap[str, str]
    violations: _containers.RepeatedCompositeFieldContainer[FieldViolation]
    message: str
    def __init__(self, reason: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., violations: _Optional[_Iterable[_Union[FieldViolation, _Mapping]]] = ..., message: _Optional[str] = ...) -> None: ...

class FieldViolation(_message.Message):
    __slots__ = ("field", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    description: str
    def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...
