"""Failures in a row: when a channel counts as disconnected, and when it is tried again."""

from __future__ import annotations

from buffer.models import Conversation
from gateways.sending import InDoubt, Later, Misconfigured, Sent
from worker.strikes import AGAIN_AFTER_S, Strikes

ANA, BIA, EVA = (Conversation("waha", "loja", peer) for peer in ("ana", "bia", "eva"))
CLOSED = Later("connection closed", strikes=3)
DOUBT = InDoubt("server error 400", strikes=2)
LOST = Misconfigured("connection closed, 3 times in a row")


class Now:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_the_last_strike_is_misconfigured():
    """Of one person or of several."""
    strikes = Strikes(Now())
    assert [strikes.judge(who, CLOSED) for who in (ANA, BIA, ANA)] == [CLOSED, CLOSED, LOST]


def test_a_success_ends_the_row():
    """Only failures without a success between them count."""
    strikes = Strikes(Now())
    for result in (CLOSED, CLOSED, Sent("1"), CLOSED, CLOSED):
        assert strikes.judge(ANA, result) == result


def test_results_without_strikes_do_not_count():
    """A rate limit is no strike."""
    strikes = Strikes(Now())
    for _ in range(5):
        assert strikes.judge(ANA, Later("slow down")) == Later("slow down")
    assert strikes.blocked(ANA) is None


def test_doubts_count_for_different_people():
    """One person's text can be at fault; that of two cannot. The part stays in doubt, the channel is blocked."""
    strikes = Strikes(Now())
    assert [strikes.judge(ANA, DOUBT) for _ in range(5)] == [DOUBT] * 5
    assert strikes.blocked(BIA) is None
    assert strikes.judge(BIA, DOUBT) == DOUBT
    assert strikes.blocked(EVA) == Misconfigured("server error 400, 2 times in a row")


def test_a_blocked_channel_is_tried_by_one_part():
    """After half a minute one part may leave; a success opens the channel for all."""
    strikes = Strikes(now := Now())
    for who in (ANA, BIA):
        strikes.judge(who, DOUBT)
    now.s += AGAIN_AFTER_S
    assert strikes.blocked(EVA) is None
    assert strikes.blocked(ANA) is not None
    strikes.judge(EVA, Sent(None))
    assert strikes.blocked(ANA) is None


def test_channels_are_apart():
    """One instance's lost connection says nothing about another's."""
    strikes = Strikes(Now())
    for who in (ANA, BIA):
        strikes.judge(who, DOUBT)
    assert strikes.blocked(Conversation("waha", "other", "ana")) is None
