"""The aiohttp session under the agent's transport: what is the same in every call is prepared once.

aiohttp takes a third of a flush. For a small body it begins a task that writes it after the head, and for a new
connection it makes ready for many addresses of one name; both have a shorter way, with nothing left out of the request.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict

KEEPALIVE_S = 30.0

BODY_MAX = 32_768
"""A larger body may have to wait until the agent has read of it: aiohttp's task does that beside reading the answer."""


def open_session(headers: Mapping[str, str], context: ssl.SSLContext, connections_max: int) -> aiohttp.ClientSession:
    """One pool of kept-alive connections; every request carries the headers, which must be all that it needs."""
    return aiohttp.ClientSession(
        connector=_Connector(limit=connections_max, keepalive_timeout=KEEPALIVE_S, ssl=context),
        request_class=functools.partial(_Request, CIMultiDict(headers)),  # type: ignore[arg-type]
        response_class=_Response,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class _Connector(aiohttp.TCPConnector):
    """Leaves a name with one address, and no encryption, to the event loop alone."""

    async def _wrap_create_connection(
        self, *args: Any, addr_infos: list[Any], **kwargs: Any
    ) -> tuple[Any, ResponseHandler]:
        if len(addr_infos) > 1 or kwargs.get("ssl"):
            return await super()._wrap_create_connection(*args, addr_infos=addr_infos, **kwargs)
        *_, (host, port, *_) = addr_infos[0]
        return await self._wrap_existing_connection(*args, host, port, **kwargs)


class _Response(aiohttp.ClientResponse):
    """Without the words behind the status: httpx's transport breaks at those that are not UTF-8."""

    @property
    def reason(self) -> None:
        return None

    @reason.setter
    def reason(self, _: str | None) -> None:
        pass


class _Request(aiohttp.ClientRequest):
    """Begins with prepared headers, and sends a small body together with them."""

    _whole: bytes | None = None

    def __init__(self, prepared: CIMultiDict[str], *args: Any, **kwargs: Any) -> None:
        self._prepared = prepared
        super().__init__(*args, **kwargs)

    def update_headers(self, headers: Any) -> None:
        self.headers = self._prepared.copy()
        self.headers.extend(headers)

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """All are prepared."""

    def update_body_from_data(self, body: Any, _stacklevel: int = 3) -> None:
        if isinstance(body, bytes) and len(body) <= BODY_MAX:
            self._whole = body
            self.headers["Content-Length"] = str(len(body))
        else:
            super().update_body_from_data(body, _stacklevel)

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        protocol = conn.protocol
        if self._whole is None or protocol is None:
            return await super().send(conn)
        writer = StreamWriter(protocol, self.loop)
        await writer.write_headers(f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers)
        await writer.write_eof(self._whole)
        protocol.start_timeout()
        response: aiohttp.ClientResponse = self.response_class(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )
        return response
