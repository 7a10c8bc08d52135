"""Reading a body: JSON of any kind, and single fields of any type."""

import pytest

from gateways.base import BadRequest
from gateways.fields import int_of, number_of, read_json, read_object, text_of, time_of


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'"\xc3"',
        b'{"a": NaN}',
        b'{"a": "\\u0041", "b": NaN}',
        b'{"a": "\\u0041", "b": Infinity}',
        b'{"a": "\\u0041", "b": 1e999}',
        b'{"a": "\\ud83d", "b": "\xff"}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'["\\ud83d",' + b"[" * 100_000 + b"]" * 100_000 + b"]",
        b'["\\ud83d", ' + b"9" * 5000 + b"]",
    ],
    ids=range(13),
)
def test_a_body_that_is_not_json_is_a_bad_request(body):
    """Broken, non-standard and bottomless bodies are refused with a reason, and nothing else is raised."""
    with pytest.raises(BadRequest, match=r"not valid JSON: ."):
        read_json(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"oi \\ud83d"', "oi �"),
        (b'"\\ude00 oi"', "� oi"),
        (b'["\\ud83d", "\\ude00"]', ["�", "�"]),
        (b'{"\\ud83d": "\\ud83d\\ude00 \\ud83dx"}', {"�": "😀 �x"}),
        (b'"\\\\ud83d"', "\\ud83d"),
        ('"ação \\ud83d 😀"'.encode(), "ação � 😀"),
    ],
)
def test_a_lone_surrogate_does_not_lose_the_message(body, expected):
    """A text that is cut inside an emoji gets a replacement character. Whole emoji are unchanged."""
    assert read_json(body) == expected


@pytest.mark.parametrize(("body", "kind"), [(b"[]", "a list"), (b"1", "a number"), (b"null", "null")])
def test_a_body_that_is_no_object_is_a_bad_request(body, kind):
    """The error names the type of the body."""
    with pytest.raises(BadRequest, match=kind):
        read_object(body)


@pytest.mark.parametrize(
    ("value", "text"),
    [("oi", "oi"), ("", None), (7, "7"), (True, None), (None, None), ([], None), ({}, None)],
)
def test_text_is_read_loosely(value, text):
    """Numbers are text, nothing else becomes text."""
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        ("7", 7),
        (7.9, 7),
        ({"low": -1, "high": 0}, 0xFFFFFFFF),
        ({"low": 1, "high": 2}, 2**33 + 1),
        ({"low": "1", "high": 0}, None),
        (True, None),
        ("x", None),
        ("inf", None),
        ("nan", None),
        ("9" * 5000, None),
        ([], None),
    ],
)
def test_an_integer_is_read_loosely(value, number):
    """Numbers, digits and protobuf Longs are integers, and anything else is None."""
    assert int_of(value) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), ("-2.5", -2.5), ("nan", None), ("1e999", None), (10**400, None), (True, None), ({}, None)],
)
def test_a_number_is_finite_or_nothing(value, number):
    """Infinite and missing numbers are None."""
    assert number_of(value) == number


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1749766101, 1749766101000),
        (1710481111.853, 1710481111853),
        ("1749766101123", 1749766101123),
        ({"low": 1746620000, "high": 407}, 1749798309472),
        (1749766101123456, 1749766101123),
        ("1749766101123456789", 1749766101123),
        (1230768000, 1230768000000),
        (4102444799999, 4102444799999),
        (1230767999, None),
        (4102444800, None),
        (4102444800000, None),
        (174976610, None),
        (2**53 - 1, None),
        (1e308, None),
        (10**400, None),
        (0, None),
        (-1749766101, None),
        (True, None),
        (None, None),
    ],
)
def test_the_unit_of_a_time_follows_from_its_size(value, moment):
    """Seconds, ms, us and ns since 1970 become ms, and a time that no gateway can mean is None."""
    assert time_of(value) == moment
