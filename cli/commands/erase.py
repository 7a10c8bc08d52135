"""`debouncer erase`: deletes everything that is held of a person on a channel."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from buffer.insight_models import Erased
from buffer.person_store import People
from buffer.store import Store
from cli.confirm import says_yes
from cli.json_output import print_json
from cli.names import conversation_named, ref_named, who_text
from cli.target import run_on_store
from cli.terminal import count_of
from webhook.admin import views

QUESTION = "Erase everything that is held of {who}, under all their names? It cannot be undone. [y/N] "
MAY_HAPPEN = """What may still happen:
- A call to the agent, or a reply to the person, that is on its way now arrives.
- What the agent, the gateway and their logs hold of the person stays there.
- Copies of Redis's data (backups, replicas that are away, an append-only file) keep it until they are written anew.
- If the person writes again, they are held as a new conversation.
- A message that their gateway sends again counts as new."""


def run(args: argparse.Namespace) -> int:
    """Return 0, or 1 if nothing was erased: nothing is held, a no, or Redis cannot be used. Raises SettingsError."""
    return run_on_store(args, _erase)


async def _erase(store: Store, args: argparse.Namespace) -> int:
    people = People(store)
    if args.person is None:
        ref = ref_named(store, args.channel)
        who, erase = f"the person of {ref}", partial(people.erase_ref, ref)
    else:
        person = conversation_named(args.channel, args.person)
        who, erase = who_text(person), partial(people.erase, person)
    if not (args.yes or says_yes(QUESTION.format(who=who))):
        print("Nothing was erased.", file=sys.stderr)
        return 1
    erased = await erase()
    body = views.erased(erased)
    if args.json:
        print_json(body)
    else:
        _print(who, erased, body.found)
    return 0 if body.found else 1


def _print(who: str, erased: Erased, found: bool) -> None:
    if not found:
        print(f"Nothing is held of {who}. Is it written as the gateway writes it?", file=sys.stderr)
        return
    print(f"{who} is erased: {_counts(erased)}.", MAY_HAPPEN, sep="\n")


def _counts(erased: Erased) -> str:
    counts = (
        count_of(erased.conversations, "conversation"),
        count_of(erased.messages, "message"),
        count_of(erased.dead_letters, "dead letter"),
        f"{count_of(erased.doubts, 'part')} in doubt",
        f"{count_of(erased.records, 'record')} of the history",
        f"{count_of(erased.jobs, 'job')} of RQ",
    )
    return ", ".join(counts)
