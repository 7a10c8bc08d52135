"""Sessions of browsers: who has one, until when, and from which page it may change something."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from webhook.admin.auth import has_session, is_admin
from webhook.admin.sessions import COOKIE, SESSION_S, is_own_page, is_session, new_session, session_of

TOKEN = SecretStr("segredo")
NOW_S = 1_795_900_000.0
HOST = (b"host", b"bot.example.com")


def test_a_session_lasts_until_it_expires():
    """It is good for this ADMIN_TOKEN only, and not changed by anybody."""
    session = new_session(TOKEN, NOW_S)
    assert is_session(session, TOKEN, NOW_S)
    assert is_session(session, TOKEN, NOW_S + SESSION_S - 1)
    assert not is_session(session, TOKEN, NOW_S + SESSION_S)
    assert not is_session(session, SecretStr("another"), NOW_S)
    assert not is_session(session, None, NOW_S)
    later = session.replace(session.partition(".")[0], str(int(NOW_S) + 10 * SESSION_S))
    assert not is_session(later, TOKEN, NOW_S)


@pytest.mark.parametrize("cookie", ["", ".", "..", "é.é.é", "1.2.3", f"{int(NOW_S) + 10}.x.", "segredo"])
def test_no_session(cookie: str):
    """Whatever else stands in a cookie is none."""
    assert not is_session(cookie, TOKEN, NOW_S)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"{COOKIE}=abc", "abc"),
        (f"a=b; {COOKIE}=abc; c=d", "abc"),
        (f"a={COOKIE}=x;;; \x00=; {COOKIE}=abc", "abc"),
        (f"x{COOKIE}=abc", ""),
        ("", ""),
        ("x" * 10_000 + f"; {COOKIE}=abc", ""),
    ],
    ids=lambda text: text[:20],
)
def test_the_cookie_among_others(header: str, found: str):
    """Other cookies, also broken ones, stand beside it."""
    assert session_of({b"cookie": header.encode()}) == found


@pytest.mark.parametrize(
    ("headers", "is_own", "reads"),
    [
        ([(b"sec-fetch-site", b"same-origin")], True, True),
        ([(b"sec-fetch-site", b"same-site")], False, False),
        ([(b"sec-fetch-site", b"cross-site")], False, False),
        ([(b"sec-fetch-site", b"none")], False, True),
        ([(b"sec-fetch-site", b"cross-site"), (b"origin", b"https://bot.example.com")], False, False),
        ([(b"origin", b"https://bot.example.com")], True, True),
        ([(b"origin", b"https://evil.example.com")], False, False),
        ([(b"origin", b"https://bot.example.com.evil.example")], False, False),
        ([(b"origin", b"null")], False, False),
        ([(b"origin", b"http://[")], False, False),
        ([], False, True),
    ],
)
def test_only_the_page_itself_changes_something(headers: list[tuple[bytes, bytes]], is_own: bool, reads: bool):
    """A browser signed in reads, unless another site asks; what changes something comes from a page of this service."""
    cookie = (b"cookie", f"{COOKIE}={new_session(TOKEN, 4e9)}".encode())
    everything = [HOST, cookie, *headers]
    assert is_own_page(dict(everything)) is is_own
    assert has_session(everything, TOKEN, "GET") is reads
    assert has_session(everything, TOKEN, "POST") is is_own
    assert is_admin(everything, "203.0.113.7", TOKEN, "DELETE") is is_own
    assert not is_admin([HOST, *headers], "127.0.0.1", TOKEN, "GET")


LINK = {b"sec-fetch-site": b"cross-site", b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"document"}


@pytest.mark.parametrize(
    ("changed", "leads"),
    [
        ({}, True),
        ({b"sec-fetch-site": b"same-site"}, True),
        ({b"sec-fetch-mode": b"cors", b"sec-fetch-dest": b"empty"}, False),
        ({b"sec-fetch-mode": b"no-cors", b"sec-fetch-dest": b"image"}, False),
        ({b"sec-fetch-dest": b"iframe"}, False),
        ({b"origin": b"https://evil.example.com"}, False),
    ],
)
def test_a_link_of_another_site_leads_to_what_takes_links(changed: dict[bytes, bytes], leads: bool):
    """In a window of its own, where that site sees nothing. A script, a picture or a frame is refused."""
    headers = [*(LINK | changed).items(), (b"host", b"localhost:8000")]
    cookie = (b"cookie", f"{COOKIE}={new_session(TOKEN, 4e9)}".encode())
    assert is_admin(headers, "127.0.0.1", None, takes_links=True) is leads
    assert not is_admin(headers, "127.0.0.1", None)
    assert has_session([cookie, *headers], TOKEN, "GET", takes_links=True) is leads
    assert not has_session([cookie, *headers], TOKEN, "GET")
    assert not has_session([cookie, *headers], TOKEN, "POST", takes_links=True)
