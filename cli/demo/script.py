"""The script of the demo: its people, their messages and the times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_S = 2.0
"""Quiet time that ends a burst, in the demo."""

LEASE_S = 5.0
"""Seconds after which another worker goes on with what a dead one had, in the demo."""

ANSWER_S = 2.5
"""Seconds that the agent takes. Longer than the window, so that the interruption is due before the agent answers."""


@dataclass(frozen=True)
class Person:
    """A person who writes to the bot. The phone numbers are invented."""

    name: str
    phone: str


@dataclass(frozen=True)
class Step:
    """One webhook, `at_s` seconds after the start. With `again`, the gateway delivers a message for the second time."""

    at_s: float
    person: Person
    number: int
    text: str
    again: bool = False

    @property
    def message_id(self) -> str:
        """Return the message id, in the form of WhatsApp."""
        return f"3EB0C0FFEE{self.number:012X}"


ANA = Person("Ana", "5511900000001")
BRUNO = Person("Bruno", "5521900000002")
CARLA = Person("Carla", "5531900000003")
PEOPLE = (ANA, BRUNO, CARLA)

STEPS = (
    Step(0.0, ANA, 1, "oi"),
    Step(0.6, ANA, 2, "tudo bem?"),
    Step(0.9, BRUNO, 3, "vocês abrem no sábado?"),
    Step(1.3, ANA, 4, "queria saber do pedido"),
    Step(1.5, ANA, 4, "queria saber do pedido", again=True),
    Step(1.7, CARLA, 5, "preciso da segunda via do boleto"),
    Step(1.9, ANA, 6, "o número é 4821"),
    Step(2.2, BRUNO, 7, "e no domingo?"),
)
INTERRUPTION = Step(0.3, ANA, 8, "é para hoje!")
"""Ana's message during the agent's answer. Its time counts from the agent's first call for Ana."""

TAKEOVER = Step(0.3, CARLA, 9, "oi Carla, aqui é o João, da loja: já te mando")
"""What a human of ours writes to Carla on the phone. Its time counts from the agent's first reply to her."""

THANKS = Step(0.6, CARLA, 10, "obrigada, João!")
"""Carla's message to the human. Its time counts from the takeover."""

SECOND_REPLY = "Shall I send it by e-mail?"
"""The agent's second reply to Carla, which the takeover keeps from her."""

BURSTS: tuple[tuple[Step, ...], ...] = (
    tuple(step for step in STEPS if step.person is ANA and not step.again),
    tuple(step for step in STEPS if step.person is BRUNO),
    tuple(step for step in STEPS if step.person is CARLA),
    (INTERRUPTION,),
)
"""The messages of each expected call."""


def ids(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the message ids of the steps."""
    return tuple(step.message_id for step in steps)
