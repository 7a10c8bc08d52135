"""phone_numbers: spellings of one WhatsApp number are one person, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffer.models import Conversation
from buffer.phone_numbers import WHATSAPP, canonical_phone
from buffer.store import Store
from gateways.registry import GATEWAYS
from tests.servers import Server

SPELLINGS = {
    "Brazil, ninth digit": ("551190000001", "5511990000001"),
    "Brazil, lowest mobile": ("558860000001", "5588960000001"),
    "Mexico, 1": ("5215500000001", "525500000001"),
    "Argentina, 9": ("5491100000001", "541100000001"),
}

OTHERS = {
    "Brazil, landline": "551130000001",
    "Brazil, with its ninth digit": "5511990000001",
    "Brazil, too short": "55119000001",
    "Mexico, without 1": "525500000001",
    "Mexico, too long": "52155000000011",
    "Argentina, without 9": "541100000001",
    "another country": "351910000001",
    "beginning like Brazil's": "1551190000001",
    "lid": "551190000001@lid",
    "phone jid": "551190000001@s.whatsapp.net",
    "group": "551190000001-1600000000@g.us",
    "group of Z-API": "551190000001-group",
    "business-scoped user": "BR.551190000001",
    "with a plus": "+551190000001",
    "with a line feed": "551190000001\n",
    "nothing": "",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("gateway", sorted(WHATSAPP))
def test_spellings_are_one_person(gateway: str, spelling: str):
    """Both spellings have the same canonical form, which is one of them."""
    one, other = SPELLINGS[spelling]
    assert canonical_phone(gateway, one) == canonical_phone(gateway, other) == other


@pytest.mark.parametrize("case", OTHERS)
def test_anything_else_is_as_it_is(case: str):
    """What is no second spelling of a mobile number stays byte for byte."""
    assert canonical_phone("evolution", OTHERS[case]) == OTHERS[case]


@pytest.mark.parametrize("gateway", sorted(set(GATEWAYS) - WHATSAPP))
def test_ids_of_other_gateways_are_no_phones(gateway: str):
    """A number that is an id of another network is never taken for a phone."""
    for one, other in SPELLINGS.values():
        assert (canonical_phone(gateway, one), canonical_phone(gateway, other)) == (one, other)


def test_whatsapp_gateways_exist():
    """Every gateway in WHATSAPP is one of ours."""
    assert set(GATEWAYS) >= WHATSAPP


@given(peer=st.from_regex(r"(55|52|54|521|549)?[0-9]{6,12}", fullmatch=True))
def test_canonical_form_is_stable(peer: str):
    """The canonical form of a canonical form is itself."""
    form = canonical_phone("evolution", peer)
    assert canonical_phone("evolution", form) == form


@given(peers=st.tuples(*[st.from_regex(r"55[1-9]{2}9?[6-9][0-9]{7}", fullmatch=True)] * 2))
def test_two_people_stay_two(peers: tuple[str, str]):
    """Numbers that differ in more than the ninth digit are not confused."""
    one, other = peers
    same = canonical_phone("meta", one) == canonical_phone("meta", other)
    assert same == (one[:4] + one[-8:] == other[:4] + other[-8:])


@pytest.mark.parametrize("enabled", [True, False])
async def test_setting(valkey: Server, open_store: Callable[..., Store], enabled: bool):
    """CANONICAL_PHONES decides whether two spellings have one reference."""
    store = open_store(valkey, canonical_phones=enabled)
    refs = {store.ref(Conversation("meta", "1", peer)) for peer in SPELLINGS["Brazil, ninth digit"]}
    assert len(refs) == (1 if enabled else 2)
