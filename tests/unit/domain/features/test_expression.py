"""Expressions of features: parsed, written in their normal form, and refused with what to write."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.domain.features.catalogue import CATALOGUE
from tradingsignals_server.domain.features.expression import Feature, InvalidFeature, parse
from tradingsignals_server.domain.features.kind import FeatureKind


@st.composite
def features(draw: st.DrawFn) -> Feature:
    """Return any feature of the catalogue, with any of its parameters."""
    kind: FeatureKind = draw(st.sampled_from(list(CATALOGUE.values())))
    values: list[float] = []
    for number, parameter in enumerate(kind.parameters):
        lowest = values[0] + 1 if kind.increasing and number == 1 else parameter.lowest
        highest = parameter.highest - 1 if kind.increasing and number == 0 else parameter.highest
        values.append(
            draw(
                st.integers(int(lowest), int(highest))
                if parameter.whole
                else st.floats(parameter.lowest, parameter.highest)
            )
        )
    return Feature(kind, *values)


@given(features())
def test_normal_form_is_parsed_to_the_same_feature(feature: Feature) -> None:
    assert parse(str(feature)) == feature
    assert str(parse(str(feature))) == str(feature)
    assert hash(parse(str(feature))) == hash(feature)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("rsi", "rsi(14)"),
        ("rsi()", "rsi(14)"),
        (" rsi ( 9 ) ", "rsi(9)"),
        ("macd(5)", "macd(5,26,9)"),
        ("bb_position(20,2.5)", "bb_position(20,2.5)"),
        ("bb_position(20,2.0)", "bb_position(20,2)"),
        ("hour_sin", "hour_sin"),
        ("hour_sin()", "hour_sin"),
    ],
)
def test_parameters_that_are_left_out_have_their_defaults(text: str, normal: str) -> None:
    assert str(parse(text)) == normal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rsj(14)", "no feature is named rsj; did you mean rsi(14)? `tradingsignals features` lists all"),
        ("xyzzy", "no feature is named xyzzy; `tradingsignals features` lists all"),
        ("rsi(14,2)", "rsi has 1 parameter, and 2 are given; write rsi(14)"),
        ("hour_sin(2)", "hour_sin has no parameters, and 1 are given; write hour_sin"),
        ("rsi(1)", "rsi has bars=1; a whole number from 2 to 1000 is needed"),
        ("rsi(14.5)", "rsi has bars=14.5; a whole number from 2 to 1000 is needed"),
        ("rsi(nan)", "rsi has bars=nan; a whole number from 2 to 1000 is needed"),
        ("rsi(inf)", "rsi has bars=inf; a whole number from 2 to 1000 is needed"),
        ("bb_width(20,0)", "bb_width has width=0; a number from 0.1 to 10 is needed"),
        ("rsi(x)", "'rsi(x)' has a parameter that is not a number; write rsi(14)"),
        ("macd(26,12,9)", "macd(26,12,9): fast must be below slow"),
        ("rsi(14", "'rsi(14' is not a feature; write a name with parameters, such as rsi(14)"),
        ("", "'' is not a feature; write a name with parameters, such as rsi(14)"),
        ("close - open", "'close - open' is not a feature; write a name with parameters, such as rsi(14)"),
    ],
)
def test_expression_that_is_no_feature_is_refused_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(InvalidFeature) as caught:
        parse(text)
    assert str(caught.value) == message


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(InvalidFeature):
        assert parse(str(parse(text))) == parse(text)
