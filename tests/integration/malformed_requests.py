"""Requests that two readers may understand differently, or that are no HTTP at all.

`SMUGGLED` names the person whose message an honest proxy would not have seen as a request of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.integration.processes import TOKEN

HONEST = "honest"
SMUGGLED = "smuggled"

AUTH = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
LINE = b"POST /webhooks/generic HTTP/1.1\r\n"
HOST = b"Host: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"
GIANT = b"a" * 2_000_000


def message(peer: str) -> bytes:
    """A message of a person."""
    return json.dumps({"conversation": peer, "text": peer}).encode()


def length(body: bytes) -> bytes:
    """The header of its length."""
    return b"Content-Length: %d\r\n" % len(body)


def post(body: bytes, *fields: bytes, line: bytes = LINE, host: bytes = HOST, auth: bytes = AUTH) -> bytes:
    """A request with these header lines."""
    return b"".join((line, host, auth, *fields, b"\r\n", body))


def chunk(body: bytes, extension: bytes = b"") -> bytes:
    """A chunk."""
    return b"%x" % len(body) + extension + b"\r\n" + body + b"\r\n"


ONE = message(HONEST)
INNER = post(message(SMUGGLED), length(message(SMUGGLED)))
"""A whole request, hidden in or behind another."""

HIDDEN = END + INNER
BAD = message(SMUGGLED)
"""A message in a request that must not be taken at all."""

MALFORMED: Mapping[str, bytes] = {
    "length and chunks": post(HIDDEN, length(HIDDEN), CHUNKED),
    "chunks and length": post(HIDDEN, CHUNKED, b"Content-Length: 4\r\n"),
    "chunks and length zero": post(chunk(BAD) + END, CHUNKED, b"Content-Length: 0\r\n"),
    "chunks spelt xchunked": post(HIDDEN, b"Transfer-Encoding: xchunked\r\n", length(HIDDEN)),
    "chunks, then identity": post(HIDDEN, b"Transfer-Encoding: chunked, identity\r\n", length(HIDDEN)),
    "identity, then length": post(HIDDEN, b"Transfer-Encoding: identity\r\n", length(HIDDEN)),
    "chunks in a second header": post(HIDDEN, b"Transfer-Encoding: x\r\n", CHUNKED, length(HIDDEN)),
    "chunks and a space before the colon": post(HIDDEN, b"Transfer-Encoding : chunked\r\n", length(HIDDEN)),
    "chunks behind a vertical tab": post(HIDDEN, b"Transfer-Encoding: \x0bchunked\r\n", length(HIDDEN)),
    "chunks behind an obsolete fold": post(HIDDEN, b"Transfer-Encoding:\r\n chunked\r\n", length(HIDDEN)),
    "chunks in a folded header": post(HIDDEN, b"X-A: b\r\n Transfer-Encoding: chunked\r\n", b"Content-Length: x\r\n"),
    "chunks behind a bare LF": post(HIDDEN, b"X-A: b\nTransfer-Encoding: chunked\r\n", length(HIDDEN)),
    "chunks behind a bare CR": post(HIDDEN, b"X-A: b\rTransfer-Encoding: chunked\r\n", length(HIDDEN)),
    "two lengths": post(ONE + INNER, length(ONE), length(ONE + INNER)),
    "two lengths, the longer first": post(ONE + INNER, length(ONE + INNER), length(ONE)),
    "two lengths in one header": post(BAD, b"Content-Length: %d, %d\r\n" % (len(BAD), len(BAD) - 1)),
    "length negative": post(BAD, b"Content-Length: -%d\r\n" % len(BAD)),
    "length with a plus": post(BAD, b"Content-Length: +%d\r\n" % len(BAD)),
    "length in hexadecimal": post(BAD, b"Content-Length: 0x%x\r\n" % len(BAD)),
    "length with an underscore": post(BAD, b"Content-Length: %d_%d\r\n" % divmod(len(BAD), 10)),
    "length with a space within": post(BAD, b"Content-Length: %d %d\r\n" % divmod(len(BAD), 10)),
    "length of nothing": post(BAD, b"Content-Length:\r\n"),
    "length beyond 64 bits": post(BAD, b"Content-Length: %d\r\n" % (2**64 + len(BAD))),
    "length of forty digits": post(BAD, b"Content-Length: " + b"9" * 40 + b"\r\n"),
    "obsolete fold": post(BAD, b"X-A: b\r\n c\r\n", length(BAD)),
    "fold before the first header": post(BAD, length(BAD), host=b" Host: x\r\n"),
    "bare LF everywhere": post(BAD, length(BAD)).replace(b"\r\n", b"\n"),
    "bare CR everywhere": post(BAD, length(BAD)).replace(b"\r\n", b"\r"),
    "LF at the end of the head": post(b"", length(BAD)).removesuffix(b"\r\n") + b"\n" + BAD,
    "NUL in a header": post(BAD, b"X-A: a\0b\r\n", length(BAD)),
    "NUL in a header's name": post(BAD, b"X-\0A: b\r\n", length(BAD)),
    "NUL in the address": post(BAD, length(BAD), line=LINE.replace(b"generic", b"generic/\0")),
    "CR in a header": post(BAD, b"X-A: a\rb\r\n", length(BAD)),
    "a header without a colon": post(BAD, b"X-A\r\n", length(BAD)),
    "a header without a name": post(BAD, b": x\r\n", length(BAD)),
    "a space in a header's name": post(BAD, b"X A: b\r\n", length(BAD)),
    "a space before a colon": post(BAD, b"Content-Length : %d\r\n" % len(BAD)),
    "lower-case method": post(BAD, length(BAD), line=LINE.replace(b"POST", b"post")),
    "no such method": post(BAD, length(BAD), line=LINE.replace(b"POST", b"SMUGGLE")),
    "no address": post(BAD, length(BAD), line=b"POST HTTP/1.1\r\n"),
    "two spaces before the address": post(BAD, length(BAD), line=LINE.replace(b" /", b"  ", 1)),
    "a space in the address": post(BAD, length(BAD), line=LINE.replace(b"generic", b"generic /x")),
    "an address without a slash": post(BAD, length(BAD), line=LINE.replace(b"/webhooks", b"webhooks")),
    "a host as the address": post(BAD, length(BAD), line=b"CONNECT x:80 HTTP/1.1\r\n"),
    "HTTP/0.9": b"POST /webhooks/generic\r\n\r\n" + BAD,
    "HTTP/1.10": post(BAD, length(BAD), line=LINE.replace(b"1.1", b"1.10")),
    "HTTP/3.7": post(BAD, length(BAD), line=LINE.replace(b"1.1", b"3.7")),
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "a chunk size beyond 64 bits": post(b"1" + b"0" * 16 + b"\r\n" + BAD, CHUNKED),
    "a chunk size that wraps": post(b"1%016x\r\n" % len(BAD) + BAD + b"\r\n" + END, CHUNKED),
    "a negative chunk size": post(b"-1\r\n" + BAD, CHUNKED),
    "a chunk size with 0x": post(b"0x%x\r\n" % len(BAD) + BAD + b"\r\n" + END, CHUNKED),
    "a chunk size with a space": post(b" %x\r\n" % len(BAD) + BAD + b"\r\n" + END, CHUNKED),
    "no chunk size": post(b"\r\n" + BAD + b"\r\n" + END, CHUNKED),
    "a chunk that is longer than it says": post(b"4\r\n" + BAD + b"\r\n" + END, CHUNKED),
    "a chunk extension that ends with LF": post(chunk(BAD, b";x\n" + b"5"), CHUNKED),
    "a chunk size that ends with LF": post(b"%x\n" % len(BAD) + BAD + b"\n0\n\n", CHUNKED),
    "another request in a trailer": post(b"0\r\n" + b"X-A: b\r\nContent-Length: 9\r\n\r\n", CHUNKED),
    "a request behind one without a token": post(ONE, length(ONE), auth=b"") + b"\0" + INNER,
    "an unauthentic request behind an authentic one": post(b"{", length(b"{")) + post(BAD, length(BAD), auth=b""),
    "a giant address": post(BAD, length(BAD), line=LINE.replace(b"generic", b"generic/" + GIANT)),
    "a giant query": post(BAD, length(BAD), line=LINE.replace(b"generic", b"generic?a=" + GIANT)),
    "an answer": b"HTTP/1.1 200 OK\r\n" + length(BAD) + AUTH + b"\r\n" + BAD,
}
"""Refused or hung up on; nothing that it carries is stored for `SMUGGLED`."""

VALID: Mapping[str, bytes] = {
    "pipelined": post(ONE, length(ONE)) * 3,
    "chunks": post(chunk(ONE[:9]) + chunk(ONE[9:]) + END, CHUNKED),
    "chunk extensions": post(chunk(ONE, b";name=value;x") + END, CHUNKED),
    "a giant chunk extension": post(chunk(ONE, b";" + GIANT) + END, CHUNKED),
    "trailers": post(chunk(ONE) + b"0\r\nX-A: b\r\n\r\n", CHUNKED),
    "a trailer that looks like a head": post(chunk(ONE) + b"0\r\nContent-Length: 900\r\nHost: y\r\n\r\n", CHUNKED),
    "an absolute address": post(ONE, length(ONE), line=LINE.replace(b"/webhooks", b"http://x/webhooks")),
    "empty lines before": b"\r\n\r\n" + post(ONE, length(ONE)),
    "a header's name in capitals": post(ONE, length(ONE).upper()),
    "a length with zeros before": post(ONE, b"Content-Length: %05d\r\n" % len(ONE)),
    "an upgrade that is not taken": post(ONE, b"Connection: Upgrade\r\nUpgrade: h2c\r\n", length(ONE)),
    "HTTP/1.0 without a host": post(ONE, length(ONE), line=LINE.replace(b"1.1", b"1.0"), host=b""),
    "HTTP/2.0 in words": post(ONE, length(ONE), line=LINE.replace(b"1.1", b"2.0")),
    "a request within a body": post(INNER, length(INNER)),
}
"""Odd but unambiguous: taken or refused; what is stored belongs to `HONEST` alone."""

COUNTS = {"pipelined": 3}
"""How many answers come, where it is more than one."""
