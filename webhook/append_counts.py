"""The counts of one request for its response, or the error that makes its gateway send it again."""

from __future__ import annotations

from collections.abc import Sequence

from buffer.errors import ConversationBroken, ConversationFull
from buffer.models import Append, Appended
from config.killpoints import kill_point
from config.logs import mask
from webhook.request_log import RequestLog
from webhook.responses import Counts


def count_results(appends: Sequence[Append], results: Sequence[Appended], log: RequestLog) -> Counts:
    """Count the results of a request's appends and log each of them. Raises StoreError if a message was refused."""
    kill_point("webhook_after_append")
    accepted = duplicates = 0
    for status, _, _ in results:
        accepted += status == "new"
        duplicates += status == "duplicate"
    if duplicates:
        log.duplicates.add(appends, results)
    if log.logs_each_message:
        log.log_results(appends, results)
    ignored = len(appends) - accepted - duplicates
    if ignored:
        _raise_refusal(appends, results)
        for append, result in zip(appends, results, strict=True):
            if result.status not in ("new", "duplicate"):
                log.left_out.ignore(append.conversation.gateway, result.status)
    return Counts(accepted, duplicates, ignored)


def _raise_refusal(appends: Sequence[Append], results: Sequence[Appended]) -> None:
    """Raise a StoreError if Redis refused a message of one person: the gateway must send the request again."""
    for append, (status, _, _) in zip(appends, results, strict=True):
        gateway, channel, peer = append.conversation
        whose = f"the conversation of {mask(peer)} ({gateway}, {channel})"
        if status == "broken":
            raise ConversationBroken(f"a key of {whose} in Redis is damaged; a worker sets it aside as sick:*")
        if status == "full":
            raise ConversationFull(f"{whose} has MESSAGE_BUFFER_MAX_PENDING messages waiting: is a worker running?")
