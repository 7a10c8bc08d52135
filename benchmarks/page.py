"""Write docs/benchmarks.md: the table, the pictures and the method. The section of hand-written figures stays."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from benchmarks.expiry import TIMER_KEYS
from benchmarks.parts.dashboard import ENDED, OPENINGS, TURNS, VIEWERS
from benchmarks.parts.webhook import LOAD_S
from benchmarks.pending import APPENDED_MAX
from benchmarks.plots import DOCS, LATENESS_PICTURE, MEMORY_PICTURE
from benchmarks.trickle import FLUSHES_PER_S
from benchmarks.usage import ATTEMPTS_MAX, STOLEN_MAX_PERCENT

PAGE = DOCS / "benchmarks.md"
HAND_WRITTEN = "\n## Figures behind decisions\n"
"""The heading of the last section. `make bench` keeps the page from here on, because people write it."""

TEXT = """# Benchmarks

Made by `make bench` on {day}, in {minutes:.1f} minutes. {machine}; {peers}.

Each figure stands beside its baseline from the same run. Machines differ and are noisy: during this run other
processes took {others:.0f} % of the CPU. So compare ratios. A ratio above 1 means that our figure is the better one,
also where the smaller figure is better.

{table}

![Lateness against pending conversations]({lateness})

![Memory against pending conversations]({memory})

## Method

**Cores.** The measured process has a core to itself. The Redis server, the load and the agent share the other core.
Each measurement starts a new Valkey without persistence. Logs are at WARNING. The code is in `benchmarks/`.

**Webhook.** 64 kept-alive connections have one request each under way. Each request is an Evolution text message with
a new message id, from one of 100,000 people. The load runs for 1 s as a warm-up and then for {webhook_s:g} s. The
figure is the best of three rounds, with the applications in turn. CPU per request is the CPU time of the measured
process. Fastify + BullMQ makes one debounced `add` per request (deduplication with `ttl`, `extend` and `replace`, and
a delay). That keeps only the last message of a conversation, while debouncer keeps the whole burst. A run with a
refused request gives no figure. With `DURABILITY=replica` the server has one replica on the same core. With `disk` it
has an append-only file with `appendfsync always`.

**Gateways.** The figure is the CPU time of one webhook in one process without a socket, signature included, and the
least of three rounds. The same message is sent again and again. So all but the first are duplicates, for every
gateway alike.

**Flush worker.** Each conversation has one message, and all are due. The agent answers 204 at once. The rate is
measured from the first ack to the last. RQ's own workers run the same jobs one at a time, and import the code before
the first fork. The job that does nothing shows the cost of RQ alone. BullMQ runs 200 jobs at once, as our worker
does, and makes one POST for each with undici. Ours and BullMQ's figures are the best of two rounds.

**Calls in flight.** 1,000 conversations come due within a few seconds, and the agent answers after 5 s. The agent
counts the calls. In the rows "all due in the same millisecond" the worker starts without connections. The bare client
makes the same 1,000 calls with `asyncio.gather`, does nothing else, and runs on the same core. These rows are the
best of two rounds in turn.

**Replies.** The agent answers each call at once with one text, and a program in the place of Evolution takes it. The
conversations are shared out among 100 channels, each of which may send 1,000 parts a second. The figures with typing
indicators are those of 1,000 calls in flight, for each of which that program is asked to show one.

**Lateness** is the moment at which the agent has read the request, minus `closed_ms`, the deadline. The Redis server
and the agent use the clock of the same machine. Messages arrive at random, {rate} a second, with windows of 0.5 to
1.5 s. So {rate} flushes a second come due beside conversations that wait for days. The first second is a warm-up. The
worker's first repair of the wake index ends before the measurement, or runs beside it from 100,000 conversations on.
A run in which a flush did not reach the agent exactly once gives no figure. The in-process asyncio buffer is a dict
and a sleeping task for each conversation. It makes its messages itself, uses HTTP only for the agent, and loses
everything when it ends. Keyspace events are measured at the subscriber, with {timers} timer keys among the given
number of other keys with a TTL (default `hz`). `enqueue_in` runs with an otherwise idle stock worker and its
scheduler.

The host of a virtual machine sometimes takes its cores away for milliseconds (steal time). A measurement of lateness
or of calls in flight with more than {stolen:g} % of steal time is repeated, up to {attempts} measurements in all. The
least disturbed one counts. This holds for debouncer and for the in-process buffer.

**Memory** is the difference of `used_memory`, divided by the number of conversations. The first {appended:,} are
appended through the store, message by message. More conversations are copies of these (`COPY` of each key, and one
entry in the wake index each). The naive layout, measured up to 100,000, is a JSON list per phone with the identity in
every message, a sorted set of ids, a timer key and an entry in a sorted set of deadlines. BullMQ's job holds the
three messages in its data.

**Several dispatchers.** Three workers on one core share {rate} flushes/s. The figure is the number of times that a
conversation was dispatched for each flush.

**The page.** The service has a history of {ended} flushes. During the load of the webhook, {viewers} streams of the
page are open or none, in {turns} turns, each with a new service and server. The page is then opened {openings} times
beside a million pending conversations, beside ten and beside a hundred, while nobody watches. It shows 50 of them.
Figure and baseline are medians.
"""


class Run(NamedTuple):
    """When and on which machine the figures were made."""

    day: str
    machine: str
    peers: dict[str, str]
    minutes: float
    others_percent: float


def write_page(table: str, run: Run, path: Path = PAGE) -> None:
    """Write the page for a new table, and keep its hand-written section."""
    path.write_text(page(table, run) + hand_written(path.read_text(encoding="utf-8")), encoding="utf-8")


def hand_written(text: str) -> str:
    """Return the part of a page that people wrote, with its heading. Empty if there is none."""
    _, heading, rest = text.partition(HAND_WRITTEN)
    return heading + rest


def page(table: str, run: Run) -> str:
    """Return the generated part of the page."""
    return TEXT.format(
        table=table,
        day=run.day,
        machine=run.machine,
        peers=", ".join(f"{name} {version}" for name, version in run.peers.items()),
        minutes=run.minutes,
        others=run.others_percent,
        lateness=LATENESS_PICTURE,
        memory=MEMORY_PICTURE,
        webhook_s=LOAD_S,
        rate=FLUSHES_PER_S,
        timers=TIMER_KEYS,
        stolen=STOLEN_MAX_PERCENT,
        attempts=ATTEMPTS_MAX,
        appended=APPENDED_MAX,
        ended=ENDED,
        viewers=VIEWERS,
        turns=TURNS,
        openings=OPENINGS,
    )
