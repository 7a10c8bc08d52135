"""Who may use the paths for operators: the bearer of ADMIN_TOKEN, or without one this machine only."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from webhook.admin.auth import has_token, is_admin, is_loopback

TOKEN = SecretStr("segredo-é")
HERE = (b"host", b"127.0.0.1:8000")


def authorization(value: str) -> tuple[bytes, bytes]:
    return b"authorization", value.encode()


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.9", None])
@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        ("Bearer segredo-é", True),
        ("bearer segredo-é", True),
        ("Bearer segredo", False),
        ("Bearer ", False),
        ("Bearer", False),
        ("segredo-é", False),
        ("Basic segredo-é", False),
        ("", False),
    ],
)
def test_with_a_token_its_bearer_decides(value: str, is_right: bool, peer: str | None):
    """The address counts for nothing then, and neither does being on this machine."""
    headers = [HERE, authorization(value)]
    assert is_admin(headers, peer, TOKEN) is is_right
    assert has_token(headers, TOKEN) is is_right


def test_without_a_header_there_is_no_access():
    """A request that carries nothing is refused, also from this machine."""
    assert not is_admin([HERE], "127.0.0.1", TOKEN)


def test_no_token_matches_no_token():
    """An empty bearer is not the token that is not set."""
    assert not has_token([HERE, authorization("Bearer ")], None)


@pytest.mark.parametrize(
    ("peer", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.9", False),
        ("::ffff:10.0.0.9", False),
        ("192.0.2.7", False),
        ("0.0.0.0", False),
        ("localhost", False),
        ("", False),
        (None, False),
    ],
)
def test_without_a_token_the_socket_decides(peer: str | None, is_here: bool):
    """Only an address of this machine itself is let in."""
    assert is_loopback(peer) is is_here
    assert is_admin([HERE], peer, None) is is_here


@pytest.mark.parametrize(
    "name",
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via", "cf-connecting-ip"],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.9"])
def test_a_proxy_on_this_machine_gives_no_access(name: str, peer: str):
    """What it forwards comes from elsewhere, whatever its header says."""
    assert not is_admin([HERE, (name.encode(), b"127.0.0.1")], peer, None)


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        (b"localhost", True),
        (b"LOCALHOST:8000", True),
        (b"[::1]:8000", True),
        (b"127.0.0.1", True),
        (b"bot.example.com", False),
        (b"127.0.0.1.example.com", False),
        (b"", False),
    ],
)
def test_a_page_of_another_site_gives_no_access(host: bytes, is_here: bool):
    """A site whose name leads to this machine asks for its own name."""
    assert is_admin([(b"host", host)], "127.0.0.1", None) is is_here


@pytest.mark.parametrize(
    ("headers", "is_here"),
    [
        ({}, True),
        ({"origin": "http://127.0.0.1:8000"}, True),
        ({"origin": "HTTP://127.0.0.1:8000", "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": "https://evil.example.com"}, False),
        ({"origin": "http://127.0.0.1:3000"}, False),
        ({"origin": "http://localhost:8000"}, False),
        ({"origin": "http://127.0.0.1:8000.example.com"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
    ids=str,
)
def test_a_browser_gives_access_to_our_own_page_only(headers: dict[str, str], is_here: bool):
    """A page of another site, also of another port of this machine, can make a browser send what it wants."""
    sent = [HERE, *((name.encode(), value.encode()) for name, value in headers.items())]
    assert is_admin(sent, "127.0.0.1", None) is is_here
    assert is_admin([*sent, authorization("Bearer segredo-é")], "127.0.0.1", TOKEN)


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe", b"Bearer \x00", b"Bearer " + b"x" * 1_000_000, b"\xff" * 99])
def test_a_token_of_any_bytes_is_refused(value: bytes):
    """Bytes that are no text, and a very long value, are compared like any other."""
    assert not is_admin([HERE, (b"authorization", value)], "127.0.0.1", TOKEN)
