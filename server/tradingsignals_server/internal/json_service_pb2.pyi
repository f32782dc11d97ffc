from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from tradingsignals.v1 import access_service_pb2 as _access_service_pb2
from tradingsignals.v1 import account_service_pb2 as _account_service_pb2
from tradingsignals.v1 import market_data_service_pb2 as _market_data_service_pb2
from tradingsignals.v1 import model_service_pb2 as _model_service_pb2
from tradingsignals.v1 import notification_service_pb2 as _notification_service_pb2
from tradingsignals.v1 import outcome_service_pb2 as _outcome_service_pb2
from tradingsignals.v1 import position_service_pb2 as _position_service_pb2
from tradingsignals.v1 import signal_service_pb2 as _signal_service_pb2
from tradingsignals.v1 import system_service_pb2 as _system_service_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
