"""The scripts on a real server, one call after the other, with the time passed in; and a look at every key."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import redis
from redis.exceptions import NoScriptError, ResponseError

from buffer import reply_calls, script_calls, scripts
from buffer.habits import Habits, pack_habits
from buffer.insight_models import BOUNDS_MS, GAP_BUCKETS
from buffer.keys import Keys, Ref, ref_of
from buffer.models import Append, Appended, Change, Claim, Conversation, Dispatched, Failure, FailureMode
from buffer.presence import PresenceKind
from buffer.reply_models import Ending, OwnMessage, SendLimits, Status
from buffer.rules import append_rules
from buffer.scripts import Script
from buffer.stored_message import ENTRY_HEADER_SIZE
from config.settings import Settings
from tests.conversation_hash import read_conv
from tests.recorded_ends import read_record, summed
from tests.uncounted import read_uncounted

PLACES = ("buffer", "batch", "remains")
"""Where a message can lie."""

LOOK = """
local found = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local kind, value = redis.call('TYPE', key).ok, {}
  if kind == 'list' then
    value = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'zset' then
    value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'hash' then
    value = redis.call('HGETALL', key)
  elseif kind == 'stream' then
    value = redis.call('XREVRANGE', key, '+', '-')
  elseif kind == 'set' then
    value = redis.call('SMEMBERS', key)
  elseif kind == 'string' then
    value = { redis.call('GET', key) }
  end
  table.insert(found, { key, redis.call('PTTL', key), value })
end
return found
"""


DAMAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "conv": ("SET", ("not ours",)),
    "buffer": ("SET", ("not ours",)),
    "seen": ("APPEND", ("half",)),
    "short window": ("HSET", ("window", "not ours")),
    "false window": ("HSET", ("window", "garbage of some length")),
    "missing list": ("DEL", ()),
}
"""How a key can be damaged: the command and its arguments after the key. The first three are the kind of the key."""

DAMAGED_KINDS = {"short window": "conv", "false window": "conv", "missing list": "buffer"}


GAP_FIELDS = {f"{kind}{i}": f"gap:{kind}{i}".encode() for kind in ("", "read:") for i in range(GAP_BUCKETS)}
"""The fields of the counted gaps, by the name of each."""


class Snapshot:
    """Everything that lies in Redis at one moment, by kind and name."""

    def __init__(self, root: str, found: list[Any]) -> None:
        self.values: defaultdict[str, dict[str, list[bytes]]] = defaultdict(dict)
        self.volatile: set[str] = set()
        self.strays: list[str] = []
        self._tables: dict[tuple[str, str], dict[bytes, bytes]] = {}
        self._convs: dict[str, dict[str, str]] = {}
        for raw, ttl_ms, value in found:
            key = raw.decode()
            kind, _, name = key.removeprefix(root).partition(":")
            if kind == "buffer" and len(value) == 1 and value[0] == b"of another type":
                continue
            self.values[kind][name] = value
            if ttl_ms != -1:
                self.volatile.add(kind)
            if not key.startswith(root):
                self.strays.append(key)

    def ids(self, kind: str, name: str) -> list[str]:
        """The message ids in a list, in its order."""
        payloads = [entry[ENTRY_HEADER_SIZE:].partition(b"\n")[0] for entry in self.entries(kind, name)]
        return [json.loads(payload)["message_id"] for payload in payloads]

    def held(self) -> Counter[str]:
        """How often each message lies somewhere."""
        return Counter(chain.from_iterable(self.ids(kind, name) for kind in PLACES for name in self.values[kind]))

    def entries(self, kind: str, name: str) -> list[bytes]:
        """The stored messages in a list, in its order."""
        return self.values[kind].get(name, [])

    def table(self, kind: str, name: str = "") -> dict[bytes, bytes]:
        """A hash."""
        if (kind, name) not in self._tables:
            flat = self.values[kind].get(name, [])
            self._tables[kind, name] = dict(zip(flat[::2], flat[1::2], strict=True))
        return self._tables[kind, name]

    def conv(self, name: str) -> dict[str, str]:
        """The hash that decides about a conversation."""
        if name not in self._convs:
            self._convs[name] = read_conv(self.table("conv", name))
        return self._convs[name]

    def resolve(self, name: str) -> str:
        """The conversation that a name leads to."""
        return self.table("alias").get(name.encode(), name.encode()).decode()

    def index(self, kind: str) -> dict[str, int]:
        """A sorted set: name -> moment."""
        flat = self.values[kind].get("", [])
        return {flat[i].decode(): int(float(flat[i + 1])) for i in range(0, len(flat), 2)}

    def totals(self) -> dict[str, int]:
        """The counters: those of all channels together, and those of no channel."""
        of_none = {name.decode(): int(value) for name, value in self.table("counters").items()}
        return dict(summed([*self._tallies(), *self._uncounted()])) | of_none

    def gaps(self) -> Counter[str]:
        """How many gaps each bucket counts, and how many that ended with a read answer ("read:" and the bucket)."""
        tallies = [*self._tallies(), *self._uncounted()]
        return Counter({name: sum(int(each.get(field, 0)) for each in tallies) for name, field in GAP_FIELDS.items()})

    def _tallies(self) -> list[dict[bytes, bytes]]:
        return [self.table("tally", channel) for channel in self.values["tally"]]

    def _uncounted(self) -> list[dict[bytes, bytes]]:
        """What append has counted and no script has added to the tallies yet, in their form."""
        [runs] = self.values["uncounted"].get("", [b""])
        found = read_uncounted(runs).values()
        return [{field.encode(): b"%d" % count for field, count in counts.items()} for counts in found]

    def waits(self) -> tuple[int, int]:
        """How many waits are counted, and how long they were together."""
        found: Counter[bytes] = Counter()
        for channel in self.values["tally"]:
            found.update(
                {name: int(value) for name, value in self.table("tally", channel).items() if b"wait_ms" in name}
            )
        buckets = range(len(BOUNDS_MS["wait_ms"]))
        return sum(found[b"wait_ms:%d" % bucket] for bucket in buckets), found[b"wait_ms:sum"]

    def history(self) -> list[dict[str, Any]]:
        """What ended, newest first."""
        return self._records

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        entries: list[Any] = self.values["history"].get("", [])
        return [read_record(dict(zip(flat[::2], flat[1::2], strict=True))) for _, flat in entries]


class Saved(NamedTuple):
    """All keys, as a replica has them that did not get the last writes."""

    keys: list[tuple[Any, int, bytes]]


HABITS = pack_habits(Habits((1,) * 7))
"""Habits of a contact without a window of their own."""


@dataclass
class System:
    """One partition of one installation on one server."""

    client: redis.Redis
    settings: Settings
    load: Callable[[str], Script] = scripts.script
    now_ms: int = field(default=0)

    def __post_init__(self) -> None:
        self.keys = Keys(self.settings.redis_key_prefix)
        self.root = self.keys.root(0)
        self._look = self.client.register_script(LOOK)

    def ref(self, who: Conversation) -> Ref:
        return ref_of(who, 1)

    def run(self, verb: str, *args: Any) -> Any:
        script = self.load(verb)
        try:
            return self.client.evalsha(script.sha, 1, self.root, self.now_ms, *args)
        except NoScriptError:
            return self.client.eval(script.source, 1, self.root, self.now_ms, *args)

    def append(self, messages: list[Append], route: Settings | None = None) -> list[Appended]:
        named = [
            (self.ref(message.conversation), self.ref(message.alias) if message.alias else None, message)
            for message in messages
        ]
        found = self.run("append", *script_calls.append_args(0, named, append_rules(route or self.settings)))
        tallies = [self.keys.of(0, "tally", f"{to.gateway}:{to.channel}") for _, _, (to, *_) in named]
        if tallies and not self.client.exists(*tallies):
            self.run("fold")  # a tally is as old as its first count: that of the model is not written down only
        return script_calls.read_append(found)

    def resolve(self, who: Conversation) -> str:
        """The conversation that a name leads to now."""
        name = self.ref(who).hash
        other: Any = self.client.hget(self.keys.of(0, "alias"), name)
        return other.decode() if other else name

    def damage(self, who: Conversation, damage: str) -> None:
        """Damage a key of a conversation."""
        command, args = DAMAGES[damage]
        key = self.keys.of(0, DAMAGED_KINDS.get(damage, damage), self.ref(who).hash)
        self.client.execute_command(command, key, *args)

    def remove(self, who: Conversation) -> None:
        """Remove everything that is known of a conversation."""
        name = self.ref(who).hash
        self.client.delete(*(self.keys.of(0, kind, name) for kind in ("conv", "buffer", "seen", "slabs", "timer")))
        for index in ("wake", "idle"):
            self.client.zrem(self.keys.of(0, index), name)

    def edit(self, who: Conversation, change: Change) -> str:
        args = script_calls.edit_args(self.ref(who), who, change, self.settings)
        return str(self.run("edit", *args).decode())

    def revoke(self, who: Conversation, fingerprint: bytes) -> str:
        args = script_calls.revoke_args(self.ref(who), who, [fingerprint], self.settings)
        return str(self.run("revoke", *args).decode())

    def presence(self, who: Conversation, kind: PresenceKind) -> int:
        return int(self.run("presence", *script_calls.presence_args(self.ref(who), kind, self.settings)))

    def dispatch(self, limit: int) -> Dispatched:
        return script_calls.read_dispatch(0, self.run("dispatch", *script_calls.dispatch_args(limit, self.settings)))

    def claim(self, who: Conversation, caller: str) -> Claim:
        ref = self.ref(who)
        [reply] = self.run("claim", *script_calls.claim_args([(ref.hash, caller)], self.settings))
        return script_calls.read_claim(reply)

    def claim_lot(self, callers: dict[Conversation, str]) -> list[Claim]:
        """Claim several conversations in one call. An error of the call is a failed assertion."""
        claims = [(self.ref(who).hash, caller) for who, caller in callers.items()]
        try:
            replies = self.run("claim", *script_calls.claim_args(claims, self.settings))
        except ResponseError as error:
            raise AssertionError(f"one conversation ended the call for all: {error}") from error
        return [script_calls.read_claim(reply) for reply in replies]

    def renew(self, who: Conversation, token: str) -> str:
        [reply] = self.run("renew", *script_calls.renew_args([(self.ref(who).hash, token)], self.settings))
        return str(reply.decode())

    def answered(  # noqa: PLR0917 - an answer is all of these
        self, who: Conversation, token: str, answer: bytes, prints: bytes = b"", delay_ms: int = 0, memory: bytes = b""
    ) -> str:
        item = (self.ref(who).hash, token, answer, prints, delay_ms, None, memory)
        [reply] = self.run("answered", *script_calls.answered_args([item]))
        return str(reply.decode())

    def ack(self, who: Conversation, token: str, pause_ms: int = 0) -> str:
        [reply] = self.run("ack", self.ref(who).hash, token, pause_ms, "", HABITS)
        return str(reply.decode())

    def begin_part(
        self, who: Conversation, token: str, number: int, own_id: str | None, limits: SendLimits
    ) -> tuple[str, int]:
        item = (self.ref(who).hash, token, number, reply_calls.id_of(own_id), reply_calls.tag_of(*who[:2]), limits)
        [(mark, at_ms)] = self.run("begin_part", *reply_calls.begin_part_args([item]))
        return mark.decode(), int(at_ms)

    def end_part(self, who: Conversation, token: str, number: int, ending: Ending) -> str:
        item = (self.ref(who).hash, token, number, reply_calls.tag_of(*who[:2]), ending)
        [reply] = self.run("end_part", *reply_calls.end_part_args([item]))
        return str(reply.decode())

    def own_message(self, message: OwnMessage) -> str:
        args = reply_calls.own_message_args(self.ref(message.conversation), message)
        return reply_calls.read_own_message(self.run("own_message", *args))

    def part_status(self, who: Conversation, status: Status) -> str:
        args = reply_calls.part_status_args(*who[:2], status)
        return reply_calls.read_part_status(self.run("part_status", *args)) or ""

    def settle_doubt(self, doubt_id: str, action: str) -> str:
        return str(self.run("settle_doubt", *reply_calls.settle_doubt_args(doubt_id, action)).decode())

    def fail(self, who: Conversation, token: str, mode: FailureMode, delay_ms: int) -> str:
        failure = Failure(mode, delay_ms, "refused")
        return str(self.run("fail", *script_calls.fail_args(self.ref(who), token, failure, self.settings)).decode())

    def look(self) -> Snapshot:
        return Snapshot(self.root, self._look(args=[self.keys.prefix + ":*"]))

    def save(self) -> Saved:
        keys = self.client.keys(self.keys.prefix + ":*")
        found = [(key, max(0, self.client.pttl(key)), self.client.dump(key)) for key in keys]
        return Saved([(key, ttl_ms, value) for key, ttl_ms, value in found if value is not None])

    def roll_back(self, saved: Saved) -> None:
        self.clear()
        for key, ttl_ms, value in saved.keys:
            self.client.restore(key, ttl_ms, value)

    def clear(self) -> None:
        if keys := self.client.keys(self.keys.prefix + ":*"):
            self.client.delete(*keys)
