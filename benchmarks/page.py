"""docs/benchmarks.md: the table, the pictures, and how the figures came about."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.expiry import PROBES
from benchmarks.parts.webhook import SECONDS
from benchmarks.pending import APPENDED_MAX
from benchmarks.plots import DOCS, LATENESS, MEMORY
from benchmarks.trickle import RATE
from benchmarks.usage import ATTEMPTS, STOLEN_MAX_PERCENT

PAGE = DOCS / "benchmarks.md"
TEXT = """# Benchmarks

Made by `make bench` on {day}, in {minutes:.1f} minutes. {machine}; {peers}.

Each figure stands beside its baseline from the same run. Machines differ and are noisy (meanwhile other processes took
{others:.0f} % of this one): compare ratios. A ratio above 1 says that ours is the better figure, whichever direction is
the better one.

{table}

![Lateness against pending conversations]({lateness})

![Memory against pending conversations]({memory})

## Method

**Cores.** The process that is measured has a core to itself; the Redis server, the load and the agent share the other
one. Each measurement has a fresh Valkey without persistence. Logs at WARNING. The code is in `benchmarks/`.

**Webhook.** 64 kept-alive connections, each with one request under way: an Evolution text message, a new message id
each time, 100,000 people. One second of warm-up, then {webhook_s:g} s; best of three rounds, the applications in turn.
CPU per request is the process's own CPU time. Fastify + BullMQ makes one debounced `add` (deduplication with `ttl`,
`extend` and `replace`, and a delay), which keeps a conversation's last message only, where ours keeps the burst. A
figure with a single refused request is not shown. With `DURABILITY=replica` the server has one replica on the same
core, with `disk` an append-only file with `appendfsync always`.

**Gateways.** CPU time of one webhook of each gateway in one process without a socket, signature included, least of
three rounds. The same message again and again: all but the first are duplicates for every gateway alike.

**Flush worker.** One message in each conversation, all due; an agent that answers 204 at once; from the first ack to
the last. RQ's own workers run the very same jobs one at a time, with their code imported before the first fork. The
job that does nothing shows what RQ itself costs. BullMQ runs 200 jobs at once, as ours does, each one POST by undici.
Best of two rounds for ours and BullMQ.

**Calls in flight.** 1,000 conversations come due within a few seconds, the agent answers after 5 s. The agent counts.
In the same millisecond: the worker has no connection yet, and nothing is warm. The bare client makes the same 1,000
calls with `asyncio.gather` and does nothing else, in a process that has the same core. Best of two rounds in turn.

**Lateness** is the moment at which the agent has read the request minus `closed_ms`, the deadline on the Redis
server's clock, which is this machine's clock too. Messages arrive at random, {rate} a second, with windows of 0.5
to 1.5 s, so that {rate} flushes a second come due among conversations that wait for days. The first second is
warm-up; the repair of the wake index at the worker's start is over, or goes on beside them from 100,000 on. Every
flush must reach the agent exactly once, or there is no figure. The in-process asyncio buffer is a dict and a
sleeping task for each conversation; it makes its messages itself, talks HTTP to the agent only, and forgets
everything when it ends. Keyspace events are measured at the subscriber, {probes} timer keys among so many other
keys with a TTL (default `hz`); `enqueue_in` with an otherwise idle stock worker and its scheduler.

A virtual machine's host takes its cores away for milliseconds at times. Where that was more than {stolen:g} % of the
time (steal time) while lateness or calls in flight were measured, it is done again, {attempts} times in all at the
most, and the least disturbed one counts: ours and the in-process buffer's alike.

**Memory** is the difference of `used_memory` over the number of conversations. The first {appended:,} are appended
through the store, message by message; a larger crowd is made of copies of these (`COPY` key by key, and an entry in
the wake index each). The naive layout, measured up to 100,000, is a JSON list per phone with the identity in every
message, a sorted set of ids, a timer key and an entry in a sorted set of deadlines. BullMQ's job holds the three
messages in its data.

**Several dispatchers.** Three workers on one core share {rate} flushes/s: how often a conversation was handed out for
each flush.
"""


class Run(NamedTuple):
    """When and on what the figures were made."""

    day: str
    machine: str
    peers: dict[str, str]
    minutes: float
    others_percent: float


def page(table: str, run: Run) -> str:
    """The whole page."""
    return TEXT.format(
        table=table,
        day=run.day,
        machine=run.machine,
        peers=", ".join(f"{name} {version}" for name, version in run.peers.items()),
        minutes=run.minutes,
        others=run.others_percent,
        lateness=LATENESS,
        memory=MEMORY,
        webhook_s=SECONDS,
        rate=RATE,
        probes=PROBES,
        stolen=STOLEN_MAX_PERCENT,
        attempts=ATTEMPTS,
        appended=APPENDED_MAX,
    )
