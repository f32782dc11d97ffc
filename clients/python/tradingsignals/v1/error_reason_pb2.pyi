from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    INVALID_FIELD: _ClassVar[ErrorReason]
    INVALID_PAGE_TOKEN: _ClassVar[ErrorReason]
    INVALID_BAR: _ClassVar[ErrorReason]
    BAR_CONFLICT: _ClassVar[ErrorReason]
    SIGNAL_NOT_FOUND: _ClassVar[ErrorReason]
    POSITION_NOT_FOUND: _ClassVar[ErrorReason]
    POSITION_CLOSED: _ClassVar[ErrorReason]
    NOT_ENOUGH_BARS: _ClassVar[ErrorReason]
    STORAGE_UNAVAILABLE: _ClassVar[ErrorReason]
    OVERLOADED: _ClassVar[ErrorReason]
    SHUTTING_DOWN: _ClassVar[ErrorReason]
    SEQUENCE_PRUNED: _ClassVar[ErrorReason]
    SEQUENCE_UNKNOWN: _ClassVar[ErrorReason]
    INTERNAL_ERROR: _ClassVar[ErrorReason]
    MODEL_REFUSED: _ClassVar[ErrorReason]
    FOLLOWER_STALLED: _ClassVar[ErrorReason]
    OWNER_UNAVAILABLE: _ClassVar[ErrorReason]
    MALFORMED_MESSAGE: _ClassVar[ErrorReason]
    PRICE_JUMP: _ClassVar[ErrorReason]
    TOO_MANY_SYMBOLS: _ClassVar[ErrorReason]
    NOT_STORABLE: _ClassVar[ErrorReason]
    NOT_A_PEER: _ClassVar[ErrorReason]
    MODEL_INTERVAL: _ClassVar[ErrorReason]
    INTERVAL_STORED: _ClassVar[ErrorReason]
    TOO_MANY_BACKTESTS: _ClassVar[ErrorReason]
    BACKTEST_FAILED: _ClassVar[ErrorReason]
    INPUTS_NOT_STORED: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
INVALID_FIELD: ErrorReason
INVALID_PAGE_TOKEN: ErrorReason
INVALID_BAR: ErrorReason
BAR_CONFLICT: ErrorReason
SIGNAL_NOT_FOUND: ErrorReason
POSITION_NOT_FOUND: ErrorReason
POSITION_CLOSED: ErrorReason
NOT_ENOUGH_BARS: ErrorReason
STORAGE_UNAVAILABLE: ErrorReason
OVERLOADED: ErrorReason
SHUTTING_DOWN: ErrorReason
SEQUENCE_PRUNED: ErrorReason
SEQUENCE_UNKNOWN: ErrorReason
INTERNAL_ERROR: ErrorReason
MODEL_REFUSED: ErrorReason
FOLLOWER_STALLED: ErrorReason
OWNER_UNAVAILABLE: ErrorReason
MALFORMED_MESSAGE: ErrorReason
PRICE_JUMP: ErrorReason
TOO_MANY_SYMBOLS: ErrorReason
NOT_STORABLE: ErrorReason
NOT_A_PEER: ErrorReason
MODEL_INTERVAL: ErrorReason
INTERVAL_STORED: ErrorReason
TOO_MANY_BACKTESTS: ErrorReason
BACKTEST_FAILED: ErrorReason
INPUTS_NOT_STORED: ErrorReason
