"""Answers that break HTTP, or the patience and memory of whoever reads them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache

GIB = 1024 * 1024 * 1024
MIB = 1024 * 1024
BOMB_MIB = 512

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n"
REPLY = b'{"reply": "oi"}'
FLOOD = 2_000

Pieces = Callable[[], Iterator[bytes]]
"""An answer in pieces; an empty one is a pause."""


def whole(body: bytes, *fields: bytes, status: bytes = OK, kind: bytes = JSON) -> bytes:
    """A complete answer."""
    head = b"".join((status, kind, CLOSE, b"Content-Length: %d\r\n" % len(body), *fields))
    return head + b"\r\n" + body


def chunked(*pieces: bytes) -> bytes:
    """An answer whose chunks are as given."""
    return OK + JSON + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(pieces)


def dripping(start: bytes, drop: bytes = b"") -> Pieces:
    """An answer that begins at once and goes on drop by drop; without a drop it only hangs."""

    def pieces() -> Iterator[bytes]:
        yield start
        while True:
            yield b""
            yield drop

    return pieces


def flooding(start: bytes, piece: bytes) -> Pieces:
    """An answer of a gibibyte, as fast as it is read."""

    def pieces() -> Iterator[bytes]:
        yield start
        for _ in range(GIB // len(piece)):
            yield piece

    return pieces


@cache
def bomb() -> bytes:
    """Half a gibibyte of zeros, packed: blocks that do not depend on each other are repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(BOMB_MIB):
        crc = zlib.crc32(bytes(MIB), crc)
    end = packer.flush() + crc.to_bytes(4, "little") + (BOMB_MIB * MIB).to_bytes(4, "little")
    return bytes.fromhex("1f8b08000000000002ff") + block * BOMB_MIB + end


def bombs(layers: int) -> Pieces:
    """A bomb in so many layers."""

    def pieces() -> Iterator[bytes]:
        packed = bomb()
        for _ in range(layers - 1):
            packed = gzip.compress(packed)
        yield whole(packed, b"Content-Encoding: " + b", ".join([b"gzip"] * layers) + b"\r\n")

    return pieces


GZIP = b"Content-Encoding: gzip\r\n"

RETRIED: Mapping[str, bytes | Pieces] = {
    "closes after reading": b"",
    "resets after reading": b"",
    "half a status line": b"HTTP/1.1 20",
    "half a head": OK + JSON,
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "length too long": OK + JSON + b"Content-Length: 900\r\n\r\n" + REPLY,
    "length negative": OK + JSON + b"Content-Length: -1\r\n\r\n" + REPLY,
    "length twice": OK + JSON + b"Content-Length: 15\r\nContent-Length: 4\r\n\r\n" + REPLY,
    "length absurd": OK + JSON + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + REPLY,
    "chunks of garbage": chunked(b"zz\r\n", REPLY, b"\r\n0\r\n\r\n"),
    "chunk size absurd": chunked(b"f" * 40 + b"\r\n", REPLY),
    "chunks without an end": chunked(b"f\r\n", REPLY, b"\r\n"),
    "drip of a body": dripping(OK + JSON + b"Content-Length: 9999\r\n\r\n", b" "),
    "drip of a head": dripping(OK, b"X-Drop: x\r\n"),
    "head only": dripping(OK + JSON + b"Content-Length: 15\r\n\r\n"),
    "huge header": flooding(OK + b"X-Long: ", b"x" * 65_536),
    "many headers": flooding(OK, b"X-Field: value\r\n" * FLOOD),
    "redirect": whole(b"", b"Location: http://127.0.0.1:1/\r\n", status=b"HTTP/1.1 307 Temporary Redirect\r\n"),
    "HTTP 0.9": REPLY,
    "switches protocols": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + REPLY,
}
"""Nobody can say that the agent took the batch."""

ACKED: Mapping[str, bytes | Pieces] = {
    "a gibibyte": flooding(OK + b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % GIB, b"x" * 65_536),
    "chunks for ever": flooding(chunked(), b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
    "gzip once": whole(gzip.compress(REPLY), GZIP),
    "gzip bomb": bombs(1),
    "HTTP 1.0": b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n" + REPLY,
    "a reason beyond UTF-8": whole(REPLY, status=b"HTTP/1.1 200 N\xe3o \xff\xfe\r\n"),
    "a charset that nobody knows": whole(b"ol\xe1", kind=b"Content-Type: text/plain; charset=nonsense\r\n"),
    "broken JSON": whole(b'{"reply": "oi'),
    "deep JSON": whole(b"[" * 500_000),
    "HTML": whole(b"<h1>It works!</h1>", kind=b"Content-Type: text/html\r\n"),
    "accepts slowly": whole(REPLY),
}
"""A 2xx is an ack, whatever the body holds."""

ANY: Mapping[str, bytes | Pieces] = {
    "gzip of garbage": whole(b"no gzip at all", GZIP),
    "gzip cut short": whole(gzip.compress(REPLY)[:-6], GZIP),
    "an encoding that nobody knows": whole(REPLY, b"Content-Encoding: nonsense\r\n"),
    "a status beyond 599": whole(REPLY, status=b"HTTP/1.1 999 What\r\n"),
    "a header with NUL": whole(REPLY, b"X-Odd: a\0b\xff\r\n"),
}
"""Acked or retried."""

ANSWERS = {**RETRIED, **ACKED, **ANY}
