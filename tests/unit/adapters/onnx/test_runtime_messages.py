"""Messages of ONNX Runtime on one line."""

from __future__ import annotations

import pytest

from tradingsignals_server.adapters.onnx.errors import runtime_message


@pytest.mark.parametrize("text", ["", " \n"])
def test_error_without_a_message_has_the_name_of_its_class(text: str) -> None:
    class InvalidArgument(Exception):
        """An error as ONNX Runtime raises it."""

    assert runtime_message(InvalidArgument(text)) == "InvalidArgument"


def test_message_is_its_first_line_without_codes() -> None:
    error = RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : bad input\nsecond line")
    assert runtime_message(error) == "bad input"
