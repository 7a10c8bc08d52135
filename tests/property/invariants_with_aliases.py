"""What must be true of the keys whatever people with several names do: looked up, not predicted."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from buffer.keys import fingerprint_of
from buffer.stored_message import ENTRY_HEADER_SIZE
from tests.property.redis_system import PLACES

if TYPE_CHECKING:
    from tests.property.worker_actions import WorkerActions

RECORD = struct.Struct(">8sI4s")
HELD_AS = {"buffer": "opened_ms", "batch": "flush_id", "redrive": "redrive"}
NO_ALBUM = bytes(4)
COUNTED = ("messages_accepted", "messages_duplicate", "messages_stale", "messages_discarded", "acked")


def check(people: WorkerActions) -> None:
    """Look at every key of everybody."""
    assert people.picture.strays == [], "keys outside the partition's slot"
    assert people.picture.volatile <= {"timer", "lock"}, "only timers and locks may have a TTL"
    assert people.picture.held() == people.expected.held, "a message was lost, or is there twice"
    _check_totals(people)
    _check_names(people)
    _check_media(people)
    _check_letters(people)
    for hash_ in people.names:
        _check_presence(people, hash_)
        _check_window(people, hash_)
        _check_batch(people, hash_)
        _check_memory(people, hash_)
        _check_marks(people, hash_)


def is_leased(conv: Mapping[str, str], now_ms: int) -> bool:
    """Does a worker hold the batch of a conversation?"""
    return "token" in conv and int(conv["lease_until_ms"]) > now_ms


def is_stopped(conv: Mapping[str, str]) -> bool:
    """Will a batch not be delivered as it is: it is cancelled, or taken back?"""
    return "cancelled" in conv or "superseded" in conv


def order_of(entry: bytes) -> int:
    return int.from_bytes(entry[:6])


def received_of(entry: bytes) -> int:
    return int.from_bytes(entry[6:12])


def album_of(entry: bytes) -> bytes:
    return entry[13:17]


def _check_totals(people: WorkerActions) -> None:
    """Every end is recorded and counted once; what was sealed is counted, and so is what came late."""
    totals, expected = people.picture.totals(), people.expected
    for name in COUNTED:
        assert totals.get(name, 0) == expected.counters[name], name
    discarded = sum(one["messages"] for one in people.picture.history() if one["outcome"] == "discarded")
    assert discarded == expected.counters["messages_discarded"]


def _check_names(people: WorkerActions) -> None:
    """Every name of a person leads to the one conversation, in one step, and no further name does."""
    picture, expected = people.picture, people.expected
    aliases = {name.decode(): to.decode() for name, to in picture.table("alias").items()}
    led: dict[str, list[str]] = {}
    for hash_, to in aliases.items():
        assert to not in aliases, "a name leads to a name"
        assert "ref" in picture.conv(to), f"{people.names[hash_]} leads nowhere"
        assert expected.linked(people.names[hash_], people.names[to]), f"{people.names[hash_]} was led astray"
        led.setdefault(to, []).append(hash_)
    for group in expected.groups.values():
        places = {picture.resolve(people.hashes[name]) for name in group}
        assert len(places) == 1, f"{group} are one person"
        _check_phone(people, group, places.pop())
    for hash_ in people.names:
        known = picture.conv(hash_).get("aliases", "")
        assert sorted(known[i : i + 16] for i in range(0, len(known), 16)) == sorted(led.get(hash_, []))


def _check_phone(people: WorkerActions, group: set[str], hash_: str) -> None:
    """Replies go to the phone once it is known."""
    peer = people.picture.conv(hash_).get("peer", "")
    before = [people.before.conv(people.hashes[name]).get("peer", "") for name in group]
    assert not peer or peer.isdigit() or not any(map(str.isdigit, before)), "a phone was given up"


def _check_media(people: WorkerActions) -> None:
    """Inline media lies beside the messages that have it, and nowhere else."""
    expected, picture = {}, people.picture
    for kind in PLACES:
        for name in picture.values[kind]:
            place = picture.table("letter", name)[b"conversation"].decode() if kind == "remains" else name
            for entry, note_id in zip(picture.entries(kind, name), picture.ids(kind, name), strict=True):
                note = people.expected.notes[note_id]
                assert bool(entry[12] & 2) == bool(note.media)
                if note.media:
                    expected[place, fingerprint_of(note_id)] = note.media
    found = {
        (name, fingerprint): media
        for name in picture.values["media"]
        for fingerprint, media in picture.table("media", name).items()
    }
    assert found == expected, "inline media"


def _check_letters(people: WorkerActions) -> None:
    """A dead letter is whole; one that was asked for waits where its person is."""
    picture = people.picture
    assert set(picture.index("dead")) == set(picture.values["letter"]) == set(picture.values["remains"])
    waiting = {flush_id.decode(): name for name, ids in picture.values["redrive"].items() for flush_id in ids}
    assert len(waiting) == sum(map(len, picture.values["redrive"].values())), "a letter waits twice"
    for flush_id in picture.values["letter"]:
        letter = picture.table("letter", flush_id)
        person = picture.resolve(letter[b"conversation"].decode())
        assert waiting.get(flush_id) == (person if b"redriven" in letter else None)


def _check_presence(people: WorkerActions, hash_: str) -> None:
    """Whoever holds something is in the wake index, early enough; whoever rests is in the idle index; none in both."""
    picture, conv, name = people.picture, people.picture.conv(hash_), people.names[hash_]
    wake_ms, idle_ms = picture.index("wake").get(hash_), picture.index("idle").get(hash_)
    for kind, field in HELD_AS.items():
        assert (hash_ in picture.values[kind]) == (field in conv), f"{kind} of {name} against its conversation"
    if any(field in conv for field in HELD_AS.values()):
        assert wake_ms is not None, f"{name} is stranded"
        late_ms = max(_need_ms(people, hash_), people.expected.now_ms, people.latest_ms[name])
        assert wake_ms <= late_ms, f"{name} is looked at too late"
        assert idle_ms is None, f"{name} holds something, yet may be swept"
    elif "ref" in conv:
        assert (wake_ms is None) != (idle_ms is None), f"{name} holds nothing: idle, or paused"
        assert idle_ms or "paused_until_ms" in conv, f"{name} waits for nothing"
    else:
        assert wake_ms is idle_ms is None, f"{name} is no conversation, yet in an index"
        assert not conv, f"something was left of {name}"


def _need_ms(people: WorkerActions, hash_: str) -> int:
    """The latest moment at which somebody must look at a conversation that holds something."""
    conv, leader = people.picture.conv(hash_), people.picture.conv(people.picture.resolve(hash_))
    if is_leased(conv, people.expected.now_ms):
        return int(conv["lease_until_ms"])
    due_ms = 0 if "redrive" in conv else int(conv.get("deadline_ms", 0))
    if "flush_id" in conv:
        lease_ms = int(conv["lease_until_ms"]) if "token" in conv else 0
        due_ms = lease_ms if "superseded" in conv else max(int(conv.get("retry_at_ms", 0)), lease_ms)
    return max(due_ms, int(leader.get("paused_until_ms", 0)))


def _check_window(people: WorkerActions, hash_: str) -> None:
    """The open burst: in the order of receipt, opened when its first came, due by the longest wait and not before."""
    entries, conv = people.picture.entries("buffer", hash_), people.picture.conv(hash_)
    if not entries:
        return
    settings = people.system.settings
    received = [received_of(entry) for entry in entries]
    opened_ms, deadline_ms = int(conv["opened_ms"]), int(conv["deadline_ms"])
    assert received == sorted(received), "the buffer lies in the order of receipt"
    assert opened_ms <= received[0], "opened by its first message"
    assert int(conv["bytes"]) == sum(len(entry) - ENTRY_HEADER_SIZE for entry in entries), "bytes of the burst"
    assert int(conv["depth"]) == len(entries), "depth of the burst"
    if "fired" not in conv:
        longest_ms, window_ms = opened_ms + settings.max_wait_ms, int(conv["window_ms"])
        assert window_ms in (settings.window_ms, settings.typing_window_ms), "window of the burst"
        assert deadline_ms <= longest_ms, "the burst waits for longer than the longest wait"
        is_early = deadline_ms < min(received[-1] + window_ms, longest_ms)
        assert not is_early or "taken_back" in conv, "deadline of the burst"
    _check_copies(people, hash_)
    _check_edits(people, "buffer", hash_)
    _check_fired(people, hash_)


def _check_copies(people: WorkerActions, hash_: str) -> None:
    """What came under two names before they were known as one is told once, unless one of them has forgotten it."""
    ids = [note_id for note_id in people.picture.ids("buffer", hash_) if _is_remembered(people, hash_, note_id)]
    assert len(ids) == len(set(ids)), "a message would be told twice"


def _is_remembered(people: WorkerActions, hash_: str, note_id: str) -> bool:
    note = people.expected.notes[note_id]
    return len(people.expected.remembered(note, people.names[hash_])) == len(note.taken)


def _check_fired(people: WorkerActions, hash_: str) -> None:
    """A deadline that has fired is never moved later again; a copy may go to where nothing has fired."""
    ids = {note_id for note_id in people.picture.ids("buffer", hash_) if len(people.expected.notes[note_id].taken) == 1}
    for name in people.names:
        before = people.before.conv(name)
        if "fired" in before and not people.is_sealing and ids & set(people.before.ids("buffer", name)):
            conv = people.picture.conv(hash_)
            assert "fired" in conv, "what has fired is due"
            assert int(conv["deadline_ms"]) <= int(before["deadline_ms"]), "a fired deadline was moved"


def _check_edits(people: WorkerActions, kind: str, name: str) -> None:
    """The newest edit that came in time is the one that counts."""
    entries = people.picture.entries(kind, name)
    for entry, note_id in zip(entries, people.picture.ids(kind, name), strict=True):
        note = people.expected.notes[note_id]
        if len(note.taken) == 1 and note_id not in people.expected.waiting:
            edit = entry[ENTRY_HEADER_SIZE:].partition(b"\n")[2][13:]
            if edit != (note.edit.fields if note.edit else b""):
                # What waited under another name of the person counts once the message goes back to its burst.
                note.edit = people.expected.use_up(next(iter(note.taken)), note_id) or note.edit
            assert edit == (note.edit.fields if note.edit else b""), f"edit of {note_id}"


def _check_batch(people: WorkerActions, hash_: str) -> None:
    """What is sealed stays as it was sealed; sealing is never early, keeps the order, and albums whole."""
    entries, conv = people.picture.entries("batch", hash_), people.picture.conv(hash_)
    lock = [conv["token"].encode()] if "token" in conv else []
    assert people.picture.values["lock"].get(hash_, []) == lock, "the lock mirrors the lease"
    if not entries:
        return
    _check_edits(people, "batch", hash_)
    order = [order_of(entry) for entry in entries]
    assert order == sorted(order), "a batch is in order"
    before = people.before.conv(hash_)
    if before.get("flush_id") == conv["flush_id"]:
        assert people.before.entries("batch", hash_) == entries, "a sealed batch was changed"
    elif conv["flush_id"] not in people.before.values["letter"]:
        assert "superseded" in before or int(before["deadline_ms"]) <= people.expected.now_ms, "sealed too early"
        _check_cut(_burst_before(people, hash_), len(entries))


def _burst_before(people: WorkerActions, hash_: str) -> list[bytes]:
    """The burst that was sealed. What goes back from a batch stands before it, if it was not revoked since."""
    burst = people.before.entries("buffer", hash_)
    if "superseded" not in people.before.conv(hash_):
        return burst
    ids, held = people.before.ids("batch", hash_), people.picture.held()
    back = [entry for entry, one in zip(people.before.entries("batch", hash_), ids, strict=True) if held[one]]
    return sorted(back, key=received_of) + burst


def _check_cut(burst: list[bytes], size: int) -> None:
    """An album is cut only when the whole batch is of it."""
    if size < len(burst) and album_of(burst[size]) == album_of(burst[size - 1]) != NO_ALBUM:
        assert {album_of(entry) for entry in burst[:size]} == {album_of(burst[size])}, "an album was cut"


def _check_memory(people: WorkerActions, hash_: str) -> None:
    """16 bytes for each id, oldest first, each once; whatever must be remembered is, in the person's conversation."""
    records = []
    for memory in _memories(people, hash_):
        assert len(memory) % RECORD.size == 0
        part = [RECORD.unpack_from(memory, at) for at in range(0, len(memory), RECORD.size)]
        assert [seconds for _, seconds, _ in part] == sorted(seconds for _, seconds, _ in part)
        records += part
    known = {fingerprint for fingerprint, _, _ in records}
    assert len(known) == len(records), "an id is remembered twice"
    assert known >= set(_remembered(people, hash_)), f"{people.names[hash_]} forgot too early"


def _memories(people: WorkerActions, hash_: str) -> list[bytes]:
    """The string of a seen set, or its slabs."""
    memory = people.picture.values["seen"].get(hash_, [])
    if not memory or not memory[0].startswith(b"slabs"):
        return memory
    slabs = people.picture.table("slabs", hash_)
    assert memory[0] == b"slabs" + len(slabs).to_bytes(3)
    return list(slabs.values())


def _remembered(people: WorkerActions, hash_: str) -> Iterator[bytes]:
    since_ms = people.expected.now_ms - people.system.settings.dedupe_ttl_ms
    for note in people.expected.notes.values():
        for name, (at_ms, _) in note.taken.items():
            if at_ms > since_ms and people.picture.resolve(people.hashes[name]) == hash_:
                yield fingerprint_of(note.id)


def _check_marks(people: WorkerActions, hash_: str) -> None:
    """What overtook its message waits for it where the person is, and is used up by it."""
    found = people.picture.table("mark", hash_)
    expected = {
        fingerprint_of(note_id)
        for name, note_id in people.expected.marks
        if people.picture.resolve(people.hashes[name]) == hash_
    }
    waiting = {fingerprint_of(note_id) for note_id in people.expected.waiting}
    assert expected <= set(found) <= expected | waiting, f"marks of {people.names[hash_]}"
