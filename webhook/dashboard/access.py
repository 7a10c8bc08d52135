"""What a visitor of the page may do: read, act, or nothing before signing in."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import SecretStr
from starlette.requests import HTTPConnection

from webhook.admin.auth import is_admin, is_link
from webhook.admin.gate import FORBIDDEN, UNAUTHORIZED
from webhook.admin.sessions import is_own_page
from webhook.dashboard.view import View, filters_of, minutes_of
from webhook.dashboard.words import language_of
from webhook.responses import HTTPError

ELSEWHERE = "only the page of this service may ask for that; open /dashboard and use its buttons"


class Doorkeeper(NamedTuple):
    """Knows who may read and who may act. `allows_tests` is WEBHOOK_ALLOW_UNSIGNED."""

    admin_token: SecretStr | None
    allows_tests: bool

    def may_read(self, request: HTTPConnection, *, takes_links: bool = False) -> bool:
        """Return True with ADMIN_TOKEN or a session, or on this machine if ADMIN_TOKEN is not set.

        Only the page itself takes the links of other sites.
        """
        peer = request.client.host if request.client else None
        return is_admin(request.scope["headers"], peer, self.admin_token, takes_links=takes_links)

    def check_read(self, request: HTTPConnection, *, takes_links: bool = False) -> None:
        """Raise HTTPError (401 or 403) for a visitor who may not read."""
        if self.may_read(request, takes_links=takes_links):
            return
        if self.admin_token is None:
            raise HTTPError(403, "forbidden", FORBIDDEN)
        raise HTTPError(401, "unauthorized", UNAUTHORIZED, [(b"www-authenticate", b"Bearer")])

    def check_test(self, request: HTTPConnection) -> None:
        """Raise HTTPError (401 or 403) for a visitor who may not send a test burst."""
        self.check_read(request)
        if not self.can_test:
            raise HTTPError(403, "forbidden", "set ADMIN_TOKEN or WEBHOOK_ALLOW_UNSIGNED to send a test burst")
        if "authorization" not in request.headers and not is_own_page(dict(request.scope["headers"])):
            raise HTTPError(403, "forbidden", ELSEWHERE)

    @staticmethod
    def follows_link(request: HTTPConnection) -> bool:
        """Return True for a link of another site. A browser keeps its session to itself then."""
        return is_link(dict(request.scope["headers"]))

    @property
    def can_test(self) -> bool:
        """Return True if those who may read may send a test burst."""
        return self.allows_tests or self.admin_token is not None

    def view(self, request: HTTPConnection) -> View:
        """Return what a visitor who may read has asked to see. Without ADMIN_TOKEN nobody acts from the page."""
        query = request.query_params
        return View(
            language=language_of(request.headers.get("accept-language", "")),
            can_act=self.admin_token is not None,
            can_test=self.can_test,
            minutes=minutes_of(query),
            filters=filters_of(query),
        )
