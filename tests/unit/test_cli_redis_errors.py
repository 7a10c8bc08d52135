"""redis_errors: what a failed connection means, in words that say what to do."""

from __future__ import annotations

import pytest

from cli.preflight import REDIS_ERRORS, open_client
from cli.redis_errors import explain
from tests.servers import Server, free_port


async def told(url: str) -> str:
    """What the error of a connection is called."""
    client = open_client(url, "REDIS_URL")
    try:
        await client.ping()
    except REDIS_ERRORS as error:
        return explain(error, url)
    finally:
        await client.aclose()
    return "it answers"


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_nobody_listens(scheme: str):
    """A refused connection names the address, and what 127.0.0.1 is in a container."""
    port = free_port()
    text = await told(f"{scheme}://127.0.0.1:{port}")
    assert text.startswith(f"127.0.0.1:{port}: no server listens there (connection refused)")
    assert "in a container" in text
    assert "Error 111" not in text


async def test_unknown_name():
    """A name without an address is called that."""
    assert "name is not known here" in await told("redis://no-such-host.invalid:6379")


async def test_no_socket(tmp_path):
    """A missing socket is called that."""
    assert "there is no such socket" in await told(f"unix://{tmp_path}/none.sock")


async def test_sentinel_that_does_not_answer():
    """A Sentinel that is away is not a missing master."""
    port = free_port()
    text = await told(f"redis+sentinel://:hunter2@127.0.0.1:{port}/main")
    assert text.startswith(f"no Sentinel answers at 127.0.0.1:{port}")
    assert "hunter2" not in text


async def test_not_what_it_is_called(valkey: Server):
    """A plain server that is called a Sentinel or a cluster gets the form that is meant."""
    place = valkey.url.removeprefix("redis://")
    assert "redis://host" in await told(f"redis+sentinel://{place.partition('/')[0]}/main")
    assert "no cluster; name it as redis://" in await told(f"redis+cluster://{place.partition('/')[0]}")


async def test_password(start_server):
    """A missing, a wrong and a needless password are told apart."""
    server = start_server()
    with server.client() as client:
        client.config_set("requirepass", "right")
    place = server.url.removeprefix("redis://")
    assert "wants a password" in await told(server.url)
    assert await told(f"redis://:wrong@{place}") == "user or password is wrong"


def test_master_that_the_sentinels_do_not_know():
    """Sentinels that answer and know no such master are told from those that are away."""
    one_away = "No master found for 'main' : <Redis(...)> - ConnectionError('x')"
    text = explain(Exception(one_away), "redis+sentinel://a:1,b:2/main")
    assert "knows no master 'main'" in text
    assert "1 of 2 Sentinels do not answer" in text


def test_other_errors_stay():
    """An error without a meaning here is shown as it is, without objects."""
    assert explain(Exception("something new"), "redis://h") == "something new"
    assert explain(Exception(), "redis://h") == "Exception"
