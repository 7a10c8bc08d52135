"""The errors of redis-py in words that say what to do. Its own texts name error numbers and objects."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import redis.exceptions as rx

CONTAINER = "in a container, 127.0.0.1 is the container itself"
PROBABLE_CAUSES: list[tuple[str, str]] = [
    (
        r"Connect call failed|Error 111|Error 61\b|Connection refused|Multiple exceptions",
        "no server listens there (connection refused). Is it running, and is the address right as seen from here? "
        f"({CONTAINER})",
    ),
    (
        r"not known|No address associated|name resolution|nodename nor servname",
        "this name is not known here. Is it spelled right, and is this process in the same network "
        "(in a container: the same Docker network)?",
    ),
    (r"No such file or directory", "there is no such socket. Is the server running, and the path right?"),
    (r"Permission denied", "this user may not open the socket"),
    (r"No route to host|Network is unreachable", "no network leads there from here"),
    (
        r"unknown command '?SENTINEL",
        "this is a Redis server and no Sentinel (port 26379); name it as redis://host:6379/0",
    ),
    (
        r"Cluster mode is not enabled|cluster support disabled",
        "this server is no cluster; name it as redis://host:6379/0",
    ),
    (r"^MOVED|MOVED \d|CROSSSLOT", "this server is a node of a cluster; name it as redis+cluster://host:6379"),
    (
        r"HELLO must be called|NOAUTH|Authentication required",
        "the server wants a password; write redis://:PASSWORD@host:6379/0 (with / ? # @ in it percent-encoded)",
    ),
    (r"invalid username-password|WRONGPASS|invalid password", "user or password is wrong"),
    (r"without any password configured", "the server has no password, but the address has one; leave it out"),
    (r"DB index is out of range", "this server has no database of that number; use /0"),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "the server's TLS certificate is not trusted here (?ssl_ca_certs=... names a CA)",
    ),
    (
        r"WRONG_VERSION_NUMBER|record layer failure",
        "this server does not speak TLS; write redis:// for rediss://",
    ),
    (r"Protocol error|InvalidResponse", "something that is not Redis listens there; is the port right?"),
    (
        r"protected mode",
        "the server is in protected mode: without a password it accepts this machine only",
    ),
    (r"max number of clients", "the server has too many connections (its maxclients)"),
    (r"LOADING", "the server is still loading its data; try again"),
    (
        r"[Tt]imeout|timed out",
        "no reply in time. Is the address right, and is a firewall or TLS (rediss://) between?",
    ),
]
"""A pattern of redis-py's text, and what it means."""


def explain(error: BaseException, url: str) -> str:
    """Return in one line what the error of a connection to `url` means. The text holds no password."""
    text = str(error).partition(" : <")[0] or type(error).__name__
    if "No master found" in text:
        return _no_master(str(error), url)
    for pattern, meaning in PROBABLE_CAUSES:
        if re.search(pattern, text):
            return f"{_failed_address(text)}{meaning}"
    if isinstance(error, rx.TimeoutError | TimeoutError):
        return PROBABLE_CAUSES[-1][1]
    return text


def _failed_address(text: str) -> str:
    """Return the address that redis-py names, with a colon, or ''. It may be one of several."""
    found = re.search(r"connecting to (\S+?)\.( |$)", text)
    return f"{found[1]}: " if found else ""


def _no_master(text: str, url: str) -> str:
    """Tell a Sentinel that does not answer from one that knows no such master."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    name = parts.path.strip("/").partition("/")[0]
    failed, asked = text.count("> - "), hosts.count(",") + 1
    if failed >= asked:
        return (
            f"no Sentinel answers at {hosts}. Is one running, and is the address right as seen from here? "
            f"({CONTAINER}; a Sentinel usually listens on port 26379)"
        )
    others = f" ({failed} of {asked} Sentinels do not answer)" if failed else ""
    return (
        f"the Sentinel at {hosts} answers, but knows no master {name!r} that is up{others}. "
        "Is the name that of its `sentinel monitor` line?"
    )
