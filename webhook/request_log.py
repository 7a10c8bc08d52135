"""The log lines of webhook requests: one for each message, and a bounded number for failures."""

from __future__ import annotations

import time
from collections.abc import Sequence

from buffer.errors import StoreError
from buffer.models import Append, Appended, AppendStatus
from config.logs import get_logger, mask
from gateways.base import BadRequest
from webhook.responses import HTTPError

STORE_FAILURE_LOG_EVERY_S = 5.0
"""Least seconds between two log lines about the store: an outage refuses thousands of requests a second."""

RESULT_TEXT: dict[AppendStatus, str] = {
    "new": "✅ Mensagem adicionada ao buffer",
    "duplicate": "duplicada, ignorada",
    "discarded": "descartada: atendimento humano",
    "revoked": "apagada pelo autor",
    "stale": "antiga demais, ignorada",
}
"""The end of a message's log line, by the status of its append."""

log = get_logger()


class RequestLog:
    """Logs the results and the failures of webhook requests."""

    def __init__(self, log_level: str) -> None:
        self.logs_each_message = log_level in ("DEBUG", "INFO")
        self._refused = 0
        self._last_logged_s = -STORE_FAILURE_LOG_EVERY_S

    def log_results(self, appends: Sequence[Append], results: Sequence[Appended]) -> None:
        """Log one line for each message of a request. The caller asks `logs_each_message` before, which is cheaper."""
        for append, result in zip(appends, results, strict=True):
            _log_result(append, result)

    def log_failure(self, error: Exception) -> None:
        """Log an error that the client did not cause. Store errors share one line every STORE_FAILURE_LOG_EVERY_S."""
        if isinstance(error, StoreError):
            self._log_store_failure(error)
        elif not isinstance(error, HTTPError | BadRequest):
            log.error("a webhook request failed; its gateway will send it again", error=repr(error), exc_info=error)

    def _log_store_failure(self, error: StoreError) -> None:
        self._refused += 1
        now_s = time.monotonic()
        if now_s - self._last_logged_s >= STORE_FAILURE_LOG_EVERY_S:
            log.warning("messages not stored; their gateways will send again", refused=self._refused, error=str(error))
            self._refused, self._last_logged_s = 0, now_s


def _log_result(append: Append, result: Appended) -> None:
    gateway, channel, peer = append.conversation
    log.info(
        f"📥 Nova mensagem de {mask(peer)} · {RESULT_TEXT[result.status]}",
        gateway=gateway,
        channel=channel,
        depth=result.depth,
        deadline_ms=result.deadline_ms,
    )
