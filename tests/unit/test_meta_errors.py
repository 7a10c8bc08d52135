"""Every code of Meta, and what it means for a part."""

from __future__ import annotations

import pytest

from gateways.meta_errors import result_of_error
from gateways.sending import InDoubt, Later, Misconfigured, Refused
from tests.replies import PHONE, reply_to, response

PERSON = reply_to("meta", "1055")


def read(status, error):
    return result_of_error(error, response(status, {"error": error}), PERSON)


@pytest.mark.parametrize(
    ("code", "status", "result"),
    [
        *[(code, 401, Misconfigured) for code in (0, 3, 10, 33, 190, 200, 299)],
        *[(code, 403, Misconfigured) for code in (368, 131031, 131042, 131045, 133010)],
        *[(code, 400, Later) for code in (4, 80007, 130429, 131056)],
        *[(code, 503, Later) for code in (2, 131016, 131057, 133004)],
        *[(code, 400, Refused) for code in (131048, 131049, 131047, 131026, 131021, 130472, 131008, 131009, 131051)],
        (1, 500, InDoubt),
        (131000, 500, InDoubt),
        ("190", 401, Misconfigured),
        (999999, 400, Refused),
        (999999, 401, Misconfigured),
        (999999, 429, Later),
        (999999, 500, InDoubt),
        (None, 400, Refused),
        ({}, 200, InDoubt),
    ],
)
def test_the_code_decides(code, status, result):
    """Each row of the table, and the status for a code that is in none."""
    assert type(read(status, {"code": code, "message": "x"})) is result


@pytest.mark.parametrize(
    ("error", "result"),
    [
        ({"message": "(#100) Invalid parameter", "error_data": {"details": "phone_number_id is wrong"}}, Misconfigured),
        ({"message": "Object with ID '1' does not exist"}, Misconfigured),
        ({"message": "Unsupported post request", "error_subcode": 33}, Misconfigured),
        ({"message": "(#100) Invalid parameter", "error_data": {"details": "to is not a valid number"}}, Refused),
        ({"message": None, "error_data": []}, Refused),
    ],
)
def test_a_wrong_parameter(error, result):
    """Code 100 stands for the phone number id, which concerns all, and for the recipient, who is one."""
    assert type(read(400, error | {"code": 100})) is result


@pytest.mark.parametrize(("code", "after_s", "whole"), [(4, 60, True), (80007, 60, True), (131056, 6, False)])
def test_limits(code, after_s, whole):
    """The limit of the app holds for the channel, and the pair limit for one person."""
    result = read(400, {"code": code})
    assert (result.after_s, result.whole_channel) == (after_s, whole)


def test_retry_after_wins():
    """A delay in the response is better than our own."""
    error = {"code": 4}
    assert result_of_error(error, response(429, {"error": error}, retry_after="9"), PERSON).after_s == 9


def test_the_reason_is_masked():
    """Meta's words are told without the number."""
    reason = read(400, {"code": 131026, "message": f"cannot reach {PHONE}"}).reason
    assert PHONE not in reason
    assert "131026" in reason
