"""Keys that somebody spoiled, on the server and in the model: what no script can read must hold up nobody."""

from __future__ import annotations

from dataclasses import replace

from buffer.models import Conversation
from tests.property.model_state import Talk
from tests.property.redis_system import System
from tests.property.reference_model import Model


def spoil(system: System, model: Model, conversation: Conversation, who: str, how: str) -> bool:
    """Spoil the window, the batch or the buffer of a conversation. Return False where there is none.

    The model is changed to what the next claim makes of it.
    """
    talk, name, keys = model.talks[who], system.ref(conversation).hash, system.keys
    if how == "window" and talk.buffer:
        talk.deadline_ms, talk.fired, talk.window_ms, talk.turn_split = model.now_ms, "quiet", 0, False
        talk.opened_ms = talk.buffer[0].received_ms
        talk.is_held = talk.has_let_go = False
        system.client.hset(keys.of(0, "conv", name), "window", "malformed")
    elif how == "batch" and talk.batch:
        model.lost += len(talk.batch.messages)
        talk.batch = replace(talk.batch, messages=[])
        system.client.delete(keys.of(0, "batch", name))
    elif how == "buffer" and _is_next(model, talk):
        model._discard_window(talk)
        system.client.set(keys.of(0, "buffer", name), "of another type")
    else:
        return False
    return True


def _is_next(model: Model, talk: Talk) -> bool:
    """Would a claim seal the open burst?"""
    held = talk.batch or talk.redrive or model._paused(talk)
    return bool(talk.buffer) and not held and talk.deadline_ms <= model.now_ms
