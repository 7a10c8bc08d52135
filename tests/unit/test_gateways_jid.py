"""WhatsApp addresses: the person and the chat that they name."""

import pytest

from buffer.models import Conversation
from gateways.jid import bare_jid, chat_of, person_of

PHONE = "5511900000001@s.whatsapp.net"
LID = "100000000000001@lid"


@pytest.mark.parametrize(
    ("jid", "name"),
    [
        (PHONE, PHONE),
        ("5511900000001:12@c.us", "5511900000001@c.us"),
        ("5511900000001", "5511900000001"),
        (5511900000001, "5511900000001"),
        ("@lid", None),
        (":1@lid", None),
        ("", None),
        (None, None),
        ([PHONE], None),
    ],
)
def test_a_jid_without_its_device(jid, name):
    """The device number is removed, and an address without a user is None."""
    assert bare_jid(jid) == name


@pytest.mark.parametrize(
    ("names", "who"),
    [
        ([LID, PHONE], ("5511900000001", LID)),
        ([PHONE, LID], ("5511900000001", LID)),
        (["5511900000001", LID], ("5511900000001", LID)),
        ([LID, "5511900000001:3@c.us"], ("5511900000001", LID)),
        ([PHONE, "5511900000002@c.us"], ("5511900000001", None)),
        ([LID, "100000000000002@lid"], (LID, None)),
        (["abc", LID], ("abc", None)),
        (["٣٣٣", PHONE], ("5511900000001", None)),
        ([PHONE, LID, "100000000000002@lid"], ("5511900000001", LID)),
        ([None, 7.5, {}, ""], ("7.5", None)),
        ([], (None, None)),
    ],
)
def test_the_peer_of_a_person_is_the_phone(names, who):
    """The first phone is the peer and the first lid its alias. Without a phone the first jid is the peer."""
    assert person_of(names) == who


@pytest.mark.parametrize("address", [None, "", "@c.us", "status@broadcast", "1@broadcast", "1@newsletter", {}])
def test_addresses_that_are_no_chat(address):
    """Stories, broadcast lists, channels and missing addresses are no conversation, whatever other jids there are."""
    assert chat_of(("waha", "loja"), address, [PHONE], is_group=False, from_me=False) is None


@pytest.mark.parametrize(
    ("address", "is_group"), [("120363040000000001@g.us", False), ("120363040000000001-group", False), ("1@lid", True)]
)
def test_a_group_keeps_its_whole_name(address, is_group):
    """A chat is a group by its address or by the argument. The jids of an author are not read."""
    chat = chat_of(("waha", "loja"), address, [PHONE], is_group=is_group, from_me=True)
    assert chat == (Conversation("waha", "loja", address), None, True, True)
