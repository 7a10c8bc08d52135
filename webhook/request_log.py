"""The log lines of webhook requests: one for each message, and a bounded number for failures."""

from __future__ import annotations

from collections.abc import Sequence

from buffer.errors import StoreError
from buffer.models import Append, Appended, AppendStatus
from config.log_limiter import LogLimiter
from config.logs import get_logger, mask
from gateways.base import BadRequest, Gateway
from webhook.duplicates import Duplicates
from webhook.left_out import LeftOut
from webhook.rejected import reason_of
from webhook.responses import Busy, HTTPError, http_error_of

STORE_FAILURE_LOG_EVERY_S = 5.0
"""Least seconds between two log lines about the store: an outage refuses thousands of requests a second."""

RESULT_TEXT: dict[AppendStatus, str] = {
    "new": "✅ Mensagem adicionada ao buffer",
    "duplicate": "duplicada, ignorada",
    "discarded": "descartada: atendimento humano",
    "revoked": "apagada pelo autor",
    "stale": "antiga demais, ignorada",
    "full": "recusada: mensagens demais esperando",
    "broken": "recusada: conversa danificada no Redis",
}
"""The end of a message's log line, by the status of its append."""

log = get_logger()


class RequestLog:
    """Logs the results and the failures of webhook requests."""

    def __init__(self, log_level: str) -> None:
        self.logs_each_message = log_level in ("DEBUG", "INFO")
        self.left_out = LeftOut()
        self.duplicates = Duplicates()
        self._store_failures: LogLimiter[None] = LogLimiter(STORE_FAILURE_LOG_EVERY_S)

    def log_results(self, appends: Sequence[Append], results: Sequence[Appended]) -> None:
        """Log one line for each message of a request. The caller asks `logs_each_message` before, which is cheaper."""
        for append, result in zip(appends, results, strict=True):
            _log_result(append, result)

    def log_failure(self, gateway: Gateway, error: Exception) -> None:
        """Log an error. Store errors share one line every STORE_FAILURE_LOG_EVERY_S, refusals one a minute."""
        if isinstance(error, StoreError):
            self._log_store_failure(error)
            self.left_out.count_refused(gateway.name, reason_of(error))
        elif isinstance(error, HTTPError | BadRequest | Busy):
            self.left_out.refuse(gateway.name, http_error_of(error, gateway))
        else:
            self.left_out.count_refused(gateway.name, "internal")
            log.error("a webhook request failed; its gateway will send it again", error=repr(error), exc_info=error)

    def _log_store_failure(self, error: StoreError) -> None:
        if refused := self._store_failures.add(None):
            log.warning("messages not stored; their gateways will send again", refused=refused, error=str(error))


def _log_result(append: Append, result: Appended) -> None:
    gateway, channel, peer = append.conversation
    log.info(
        f"📥 Nova mensagem de {mask(peer)} · {RESULT_TEXT[result.status]}",
        gateway=gateway,
        channel=channel,
        depth=result.depth,
        deadline_ms=result.deadline_ms,
    )
