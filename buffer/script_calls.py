"""The seam to Lua: the arguments of each script in `<verb>_args`, and the meaning of its reply in `read_<verb>`.

No function here does I/O. The arguments are those after ARGV[1], the clock. The header of lua/<verb>.lua describes
arguments and reply. claim, renew, answered and ack serve many conversations in one call, and their `read_<verb>`
decodes the reply for one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, get_args

from buffer.claim_reply import read_batch, read_ended
from buffer.keys import Ref
from buffer.models import (
    Append,
    Appended,
    AppendStatus,
    Change,
    Claim,
    ClaimStatus,
    Conversation,
    Dispatched,
    Due,
    EditResult,
    Failure,
    Outcome,
    PauseMode,
    RevokeResult,
)
from buffer.operator_models import RedriveResult
from buffer.rules import AppendRules, claim_max_messages
from buffer.stored_message import encode_record
from config.settings import Settings

MAX_CRASHES = 20
"""A batch whose worker died this often becomes a dead letter: it would kill every worker in turn."""

Args = list[Any]

ResolvedAppend = tuple[Ref, Ref | None, Append]
"""The Ref of a message's conversation, the Ref of its alias (None without one), and the message."""

Lease = tuple[str, str]
"""The hash of a conversation and the token of its lease."""

APPEND_STATUSES: dict[bytes, AppendStatus] = {status.encode(): status for status in get_args(AppendStatus)}
CLAIM_STATUSES: dict[bytes, ClaimStatus] = {status.encode(): status for status in get_args(ClaimStatus)}
EDIT_RESULTS: dict[bytes, EditResult] = {result.encode(): result for result in get_args(EditResult)}
REVOKE_RESULTS: dict[bytes, RevokeResult] = {result.encode(): result for result in get_args(RevokeResult)}
REDRIVE_RESULTS: dict[bytes, RedriveResult] = {result.encode(): result for result in get_args(RedriveResult)}


def append_args(partition: int, messages: Iterable[ResolvedAppend], rules: AppendRules) -> Args:
    """Return the arguments of append.lua for messages of one partition whose routes have the same rules."""
    window, *numbers = rules
    args: Args = [partition, *numbers]
    args += [encode_record(*item, window) for item in messages]
    return args


def read_append(reply: Sequence[Any]) -> list[Appended]:
    """Return one result per message, in order."""
    return [
        Appended(APPEND_STATUSES[status], deadline_ms, depth)
        for status, deadline_ms, depth in zip(reply[::3], reply[1::3], reply[2::3], strict=True)
    ]


def extend_args(ref: Ref, settings: Settings) -> Args:
    """Return the arguments of extend.lua."""
    return [ref.hash, settings.typing_ms, settings.max_wait_ms]


def read_extend(reply: int) -> int:
    """Return the new deadline in ms, or 0 if nothing changed."""
    return int(reply)


def edit_args(ref: Ref, conversation: Conversation, change: Change, settings: Settings) -> Args:
    """Return the arguments of edit.lua."""
    edited_ms = "" if change.edited_ms is None else change.edited_ms
    identity = [settings.dedupe_ttl_ms, ref.partition, *conversation]
    return [ref.hash, change.fingerprint, edited_ms, change.patch, *identity]


def read_edit(reply: bytes) -> EditResult:
    """Return the result of the edit."""
    return EDIT_RESULTS[reply]


def revoke_args(ref: Ref, conversation: Conversation, fingerprints: Sequence[bytes], settings: Settings) -> Args:
    """Return the arguments of revoke.lua: a message, and the ids that its other parts may have."""
    return [ref.hash, fingerprints[0], settings.dedupe_ttl_ms, ref.partition, *conversation, *fingerprints[1:]]


def read_revoke(reply: bytes) -> RevokeResult:
    """Return the result of the revoke."""
    return REVOKE_RESULTS[reply]


def dispatch_args(limit: int, settings: Settings) -> Args:
    """Return the arguments of dispatch.lua."""
    return [limit, settings.visibility_ms]


def read_dispatch(partition: int, reply: Sequence[Any]) -> Dispatched:
    """Return the due conversations. The script numbers the first, the others follow."""
    now_ms, next_ms, number, *hashes = reply
    due = [Due(Ref(partition, _text(name)), int(number) + i) for i, name in enumerate(hashes)]
    return Dispatched(due, int(float(next_ms)) if next_ms else None, int(now_ms))


def hold_takeovers_args(settings: Settings) -> Args:
    """Return the arguments of hold_takeovers.lua."""
    return [settings.lease_ms]


def read_hold_takeovers(reply: int) -> int:
    """Return the moment in ms until which no lease is taken over."""
    return int(reply)


def claim_args(claims: Iterable[tuple[str, str]], settings: Settings) -> Args:
    """Return the arguments of claim.lua for conversations: the hash of each, and the caller's random id.

    The id is the same when a claim is repeated after a lost reply.
    """
    return [
        settings.lease_ms,
        claim_max_messages(settings),
        settings.message_buffer_max_bytes,
        settings.max_wait_ms,
        MAX_CRASHES,
        settings.message_buffer_separator,
        _flag(not settings.message_buffer_enabled),
        _flag(settings.reply_in_doubt == "resend"),
        *chain.from_iterable(claims),
    ]


def read_claim(reply: Sequence[Any]) -> Claim:
    """Return the claim of one conversation."""
    if not reply[0]:
        return read_claim(reply[9])._replace(ended=read_ended(reply))
    status = CLAIM_STATUSES[reply[0]]
    if status != "batch":
        return Claim(status, None, int(reply[1]) or None)
    return Claim(status, read_batch(reply), None)


def _read_outcome(reply: bytes) -> Outcome:
    """Return the outcome for one conversation."""
    return Outcome(reply.decode())


def renew_args(leases: Iterable[Lease], settings: Settings) -> Args:
    """Return the arguments of renew.lua for leases."""
    return [settings.lease_ms, *chain.from_iterable(leases)]


read_renew = _read_outcome


def answered_args(answers: Iterable[tuple[str, str, bytes, bytes, int, int | None, bytes]]) -> Args:
    """Return the arguments of answered.lua for conversations.

    They are the hash of each, the token of its lease, the answer, the prints of its parts, a delay in ms, how many ms
    the agent took, and its new memory.
    """
    return [*chain.from_iterable((*answer[:5], _known(answer[5]), answer[6]) for answer in answers)]


read_answered = _read_outcome


def ack_args(acks: Iterable[tuple[str, str, int, int | None]]) -> Args:
    """Return the arguments of ack.lua for conversations.

    They are the hash of each, the token of its lease, a pause in ms, and how many ms the agent took.
    """
    return [*chain.from_iterable((*ack[:3], _known(ack[3])) for ack in acks)]


read_ack = _read_outcome


def fail_args(ref: Ref, token: str, failure: Failure, settings: Settings) -> Args:
    """Return the arguments of fail.lua."""
    return [
        ref.hash,
        token,
        failure.mode,
        failure.delay_ms,
        failure.max_attempts or settings.agent_max_attempts,
        failure.error,
        failure.give_up_ms,
        failure.agent,
        failure.fallback,
        failure.fallback_prints,
    ]


read_fail = _read_outcome


def flush_now_args(ref: Ref) -> Args:
    """Return the arguments of flush_now.lua."""
    return [ref.hash]


def read_flush_now(reply: int) -> int:
    """Return the number of messages in the burst, 0 without one."""
    return int(reply)


def discard_args(ref: Ref, cause: str) -> Args:
    """Return the arguments of discard.lua. `cause` goes into the record of the discard."""
    return [ref.hash, cause]


def read_discard(reply: Sequence[int]) -> tuple[int, bool]:
    """Return the number of discarded messages, and True if a batch in flight was cancelled."""
    messages, cancelled = reply
    return int(messages), bool(cancelled)


def redrive_args(flush_id: str) -> Args:
    """Return the arguments of redrive.lua."""
    return [flush_id]


def read_redrive(reply: bytes) -> RedriveResult:
    """Return the result of the redrive."""
    return REDRIVE_RESULTS[reply]


def pause_args(ref: Ref, conversation: Conversation, pause_ms: int, mode: PauseMode) -> Args:
    """Return the arguments of pause.lua."""
    return [ref.hash, ref.partition, *conversation, pause_ms, mode.value]


def read_pause(reply: int) -> int:
    """Return the end of the pause in ms."""
    return int(reply)


def resume_args(ref: Ref) -> Args:
    """Return the arguments of resume.lua."""
    return [ref.hash]


def read_resume(reply: int) -> bool:
    """Return True if the conversation was paused."""
    return bool(reply)


def sweep_args(limit: int, settings: Settings) -> Args:
    """Return the arguments of sweep.lua. `limit` is the number of conversations at most."""
    return [settings.dedupe_ttl_ms, limit]


def read_sweep(reply: int) -> int:
    """Return the number of conversations that were forgotten."""
    return int(reply)


def repair_args(hashes: Iterable[str]) -> Args:
    """Return the arguments of repair.lua."""
    return [*hashes]


def read_repair(reply: Sequence[int]) -> tuple[int, int]:
    """Return the numbers of wake entries put back and dropped."""
    put_back, dropped = reply
    return int(put_back), int(dropped)


def _known(value: int | None) -> int | str:
    return "" if value is None else value


def _flag(value: bool) -> str:
    return "1" if value else ""


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
