"""The keys of the routes file: which setting each one changes, and in which tables it may stand."""

from __future__ import annotations

from config.reply_credentials import REPLY_CREDENTIALS

ROUTE_KEYS: dict[str, str] = {
    "buffer_enabled": "message_buffer_enabled",
    "window": "message_buffer_timeout",
    "first": "message_buffer_first",
    "max_wait": "message_buffer_max_wait",
    "max_messages": "message_buffer_max_messages",
    "max_bytes": "message_buffer_max_bytes",
    "max_pending": "message_buffer_max_pending",
    "separator": "message_buffer_separator",
    "keywords": "message_buffer_flush_keywords",
    "typing_window": "message_buffer_typing_timeout",
    "while_answering": "message_while_answering",
    "restarts_max": "restarts_max",
    "max_age": "message_max_age",
    "groups": "groups_enabled",
    "reactions": "reactions_enabled",
    "media_inline_max": "media_inline_max",
    "agent_url": "agent_url",
    "agent_secret": "agent_secret",
    "agent_kind": "agent_kind",
    "agent_key": "agent_key",
    "agent_model": "agent_model",
    "agent_system_prompt": "agent_system_prompt",
    "agent_params": "agent_params",
    "agent_repeat": "agent_repeat",
    "agent_memory_turns": "agent_memory_turns",
    "agent_memory_bytes": "agent_memory_bytes",
    "agent_memory_ttl": "agent_memory_ttl",
    "agent_strip_think": "agent_strip_think",
    "agent_answer_within": "agent_answer_within",
    "agent_timeout": "agent_timeout",
    "agent_max_attempts": "agent_max_attempts",
    "agent_give_up": "agent_give_up",
    "retry_base": "retry_base",
    "retry_max": "retry_max",
    "send_replies": "send_replies",
    "reply_split": "reply_split",
    "reply_parts_max": "reply_parts_max",
    "reply_typing_cps": "reply_typing_cps",
    "reply_in_doubt": "reply_in_doubt",
    "reply_rate": "reply_rate",
    "reply_give_up": "reply_give_up",
    "fallback_reply": "fallback_reply",
    "reply_mark_read": "reply_mark_read",
    "reply_markdown": "reply_markdown",
    "typing_indicator": "typing_indicator",
    "takeover_pause": "takeover_pause",
    "takeover_from": "takeover_from",
    "takeover_keywords": "takeover_keywords",
}
"""The keys of every table, each with the setting that it changes for the route."""

ENABLED = "enabled"
OTHER_KEYS = (ENABLED,)
"""The keys of every table that change no setting: on or off."""


def channel_keys(gateway: str) -> dict[str, str]:
    """Return the keys of a channel's table with their settings: those of every table, and the gateway's credentials."""
    names = REPLY_CREDENTIALS[gateway]
    keys = {**ROUTE_KEYS, "send_url": names.url, "send_key": names.secret}
    if names.account and names.account_key:
        keys[names.account_key] = names.account
    if gateway == "generic":
        keys["idempotent"] = "generic_reply_idempotent"
    return keys


def key_place(key: str) -> str | None:
    """Return where a key may stand that is unknown in the table where it stands, or None if it is nowhere known."""
    gateways = [gateway for gateway in REPLY_CREDENTIALS if key in channel_keys(gateway)]
    if not gateways:
        return None
    places = "a gateway's channel" if len(gateways) == len(REPLY_CREDENTIALS) else f"[{gateways[0]}.…]"
    return f"is a key of the tables of {places}"
