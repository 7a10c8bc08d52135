"""People whose bursts are due already, stored as if time had passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from buffer.models import Append
from buffer.store import Store
from tests.integration.deployment import Deployment, person
from tests.messages import message

LOT = 1000
FIVE_MINUTES_MS = 300_000


def store_all(
    deployment: Deployment, messages: Sequence[Append], clock: Callable[[], int] | None = None, **settings: object
) -> None:
    """Append messages straight through the store, with other settings or another time than the deployment's."""

    async def append(store: Store) -> None:
        for start in range(0, len(messages), LOT):
            await store.append(messages[start : start + LOT])

    deployment.ask(append, clock, **settings)


def one_each(people: Sequence[str]) -> list[Append]:
    """One message of each person."""
    return [message(f"{one}-m", person(one)) for one in people]
