"""The seam to Lua: loads the scripts, owns the order of their arguments and the meaning of their replies.

Sans-I/O: `<verb>_args` gives what follows KEYS[1] and the clock (ARGV[1]); `read_<verb>` decodes the reply.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any

from buffer.keys import Ref
from buffer.models import (
    Append,
    Appended,
    Batch,
    Change,
    Claim,
    Conversation,
    Dispatched,
    Due,
    Failure,
    Reason,
    StoredMessage,
)
from config.settings import Settings

VERBS = (
    "append",
    "extend",
    "edit",
    "revoke",
    "dispatch",
    "claim",
    "renew",
    "answered",
    "ack",
    "fail",
    "flush_now",
    "discard",
    "redrive",
    "pause",
    "resume",
    "sweep",
    "repair",
    "snapshot",
)
MAX_CRASHES = 20
"""A batch whose worker died this often is dead: it would kill every worker in turn (design)."""

ENTRY_HEAD = struct.Struct(">HIHIB4s8s")
"""What stands before the payload of a stored message; the layout stands in lua/include/entry.lua."""

ENTRY_HEADER = ENTRY_HEAD.size
KEYWORD, MEDIA, TIMED = 1, 2, 4

RECORD_HEAD = struct.Struct(">16s16s4sHIB4s8sIIIII")
"""What stands before the texts in append's record of a message; the layout stands in lua/append.lua."""

NO_ALIAS = b" " * 16

Args = list[Any]


@dataclass(slots=True, frozen=True)
class Script:
    """One Lua script with its includes in place."""

    verb: str
    source: str
    sha: str


@cache
def script(verb: str) -> Script:
    """Load a script of `VERBS`; the prelude stands first, `-- include:` lines are replaced by their file."""
    source = _lua("include/prelude") + re.sub(r"-- include: (\w+)\n", _included, _lua(verb))
    return Script(verb, source, sha_of(source))


def sha_of(source: str) -> str:
    """The name under which a server knows a script."""
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _included(match: re.Match[str]) -> str:
    return _lua(f"include/{match.group(1)}")


def _lua(name: str) -> str:
    return (resources.files("buffer") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def append_args(partition: int, messages: Iterable[tuple[Ref, Ref | None, Append]], settings: Settings) -> Args:
    """Arguments of append.lua for messages of one partition."""
    args: Args = [
        partition,
        settings.window_ms,
        settings.max_wait_ms,
        settings.message_buffer_max_messages,
        settings.message_buffer_max_bytes,
        settings.dedupe_ttl_ms,
        _flag(not settings.message_buffer_enabled),
        settings.max_age_ms,
    ]
    args += [_record(*item) for item in messages]
    return args


def _record(ref: Ref, alias: Ref | None, message: Append) -> bytes:
    conversation, fingerprint, nonce, payload, order_ms, name, keyword, _, media, album = message
    gateway, channel, peer = map(str.encode, conversation)
    sender = name.encode() if name else b""
    flags = (KEYWORD if keyword else 0) | (MEDIA if media else 0) | (0 if order_ms is None else TIMED)
    order_ms = order_ms or 0
    head = RECORD_HEAD.pack(
        ref.hash.encode(),
        NO_ALIAS if alias is None else alias.hash.encode(),
        nonce,
        order_ms >> 32,
        order_ms & 0xFFFF_FFFF,
        flags,
        album,
        fingerprint,
        len(gateway),
        len(channel),
        len(peer),
        len(sender),
        len(media),
    )
    return b"".join((head, gateway, channel, peer, sender, media, payload))


def read_append(reply: Sequence[Any]) -> list[Appended]:
    """Decode append's reply: one result per message, in order."""
    return [
        Appended(status.decode(), deadline_ms, depth)
        for status, deadline_ms, depth in zip(reply[::3], reply[1::3], reply[2::3], strict=True)
    ]


def extend_args(ref: Ref, settings: Settings) -> Args:
    """Arguments of extend.lua."""
    return [ref.hash, settings.typing_ms, settings.max_wait_ms]


def edit_args(ref: Ref, conversation: Conversation, change: Change, settings: Settings) -> Args:
    """Arguments of edit.lua."""
    edited_ms = "" if change.edited_ms is None else change.edited_ms
    known = [settings.dedupe_ttl_ms, ref.partition, *conversation]
    return [ref.hash, change.fingerprint, edited_ms, change.patch, *known]


def revoke_args(ref: Ref, conversation: Conversation, fingerprint: bytes, settings: Settings) -> Args:
    """Arguments of revoke.lua."""
    return [ref.hash, fingerprint, settings.dedupe_ttl_ms, ref.partition, *conversation]


def dispatch_args(limit: int, settings: Settings) -> Args:
    """Arguments of dispatch.lua."""
    return [limit, settings.visibility_ms]


def read_dispatch(partition: int, reply: Sequence[Any]) -> Dispatched:
    """Decode dispatch's reply."""
    now_ms, next_ms, number, *names = reply
    due = [Due(str(Ref(partition, _text(name))), int(number) + i) for i, name in enumerate(names)]
    return Dispatched(due, int(float(next_ms)) if next_ms else None, int(now_ms))


def claim_args(claims: Iterable[tuple[str, str]], settings: Settings) -> Args:
    """Arguments of claim.lua for conversations: the hash of each, and the caller's random id.

    The id is the same when a claim is repeated after a lost reply.
    """
    enabled = settings.message_buffer_enabled
    return [
        settings.lease_ms,
        settings.message_buffer_max_messages if enabled else 1,
        settings.message_buffer_max_bytes,
        settings.window_ms,
        settings.max_wait_ms,
        MAX_CRASHES,
        settings.message_buffer_separator,
        _flag(not enabled),
        *chain.from_iterable(claims),
    ]


def renew_args(leases: Iterable[tuple[str, str]], settings: Settings) -> Args:
    """Arguments of renew.lua for leases: the hash of each conversation and its token."""
    return [settings.lease_ms, *chain.from_iterable(leases)]


def answered_args(answers: Iterable[tuple[str, str, bytes]]) -> Args:
    """Arguments of answered.lua for answers: the hash of each conversation, its token and the answer."""
    return [*chain.from_iterable(answers)]


def ack_args(leases: Iterable[tuple[str, str]]) -> Args:
    """Arguments of ack.lua for leases: the hash of each conversation and its token."""
    return [*chain.from_iterable(leases)]


def read_claim(ref: Ref, reply: Sequence[Any]) -> Claim:
    """Decode claim's reply about one conversation."""
    status = _text(reply[0])
    if status != "batch":
        return Claim(status, None, int(reply[1]) or None)
    return Claim(status, _read_batch(ref, reply), None)


def _read_batch(ref: Ref, reply: Sequence[Any]) -> Batch:
    token, flush_id, attempt, failures, reason, closed_ms, separator, answer = reply[1:9]
    gateway, channel, peer, name = map(_text, reply[9:13])
    messages = tuple(_read_message(reply[i], reply[i + 1]) for i in range(13, len(reply), 2))
    received = [message.received_ms for message in messages]
    return Batch(
        ref=str(ref),
        token=_text(token),
        flush_id=_text(flush_id),
        attempt=int(attempt),
        failures=int(failures),
        reason=Reason(_text(reason)),
        conversation=Conversation(gateway, channel, peer),
        name=name or None,
        opened_ms=min(received),
        last_ms=max(received),
        closed_ms=int(closed_ms),
        separator=_text(separator),
        answer=answer or None,
        messages=messages,
    )


def _read_message(entry: bytes, media: bytes) -> StoredMessage:
    order_high, order_low, high, low, flags, _, _ = ENTRY_HEAD.unpack_from(entry)
    order_ms = (order_high << 32) + order_low if flags & TIMED else None
    payload, _, edit = entry[ENTRY_HEADER:].partition(b"\n")
    return StoredMessage((high << 32) + low, payload, edit[13:] or None, media or None, order_ms)


def fail_args(ref: Ref, token: str, failure: Failure, settings: Settings) -> Args:
    """Arguments of fail.lua."""
    return [ref.hash, token, failure.mode, failure.delay_ms, settings.agent_max_attempts, failure.error]


def pause_args(ref: Ref, conversation: Conversation, pause_ms: int, mode: str) -> Args:
    """Arguments of pause.lua."""
    return [ref.hash, ref.partition, *conversation, pause_ms, mode]


def read_snapshot(reply: Any) -> dict[str, Any]:
    """Decode snapshot's reply; empty Lua tables come as absent, so that no list turns into an object."""
    report: dict[str, Any] = {"counters": {}, "conversations": [], "oldest_ms": None}
    report.update(json.loads(reply))
    return report


def _flag(value: bool) -> str:
    return "1" if value else ""


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
