"""The bounded copy of content of an unknown kind, and the words in it."""

import json

import pytest

from gateways.ignored import misfit
from gateways.raw import CUT, RAW_MAX, raw_of, words_of


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("oi", "oi"),
        ({"body": {"text": "Segue fatura"}, "header": {"title": "Fatura"}, "footer": {"text": "x"}}, "Segue fatura"),
        ({"hydratedTitleText": "Aviso", "hydratedContentText": "Saiu", "hydratedFooterText": "x"}, "Saiu"),
        ({"interactiveMessageTemplate": {"body": {"text": "Veja"}}}, "Veja"),
        ({"title": "Menu", "description": "Escolha", "buttonText": "Abrir", "sections": [{"title": "A"}]}, "Escolha"),
        ({"name": "Qual dia?", "options": [{"optionName": "sexta"}]}, "Qual dia?"),
        ({"question": "Qual?", "id": "1", "options": [{"text": "a"}]}, "Qual?"),
        ({"ContentText": "Confirma?", "buttons": [{"text": "Sim"}]}, "Confirma?"),
        ({"contextInfo": {"quotedMessage": {"conversation": "velho"}}, "title": "novo"}, "novo"),
        ({"jpegThumbnail": "abc", "token": "T", "text": "A" * 400, "name": "só isto"}, "só isto"),
        ([{"deep": [{"er": {"caption": "achei"}}]}], "achei"),
        ({"id": "1", "count": 7, "body": {}, "title": None}, None),
        (7, None),
    ],
)
def test_words_are_found_in_content_of_any_form(content, words):
    """The best field nearest to the top is the text; choices, footers, quotes, secrets and files are none."""
    assert words_of(content) == words


def test_a_huge_content_is_searched_in_part():
    """A wide and deep content is left after a bounded number of steps."""
    assert words_of({"a": [{"x": index} for index in range(10_000)] + [{"text": "longe"}]}) is None
    deep: dict = {"text": "fundo"}
    for _ in range(50):
        deep = {"a": deep}
    assert words_of(deep) is None


def test_raw_has_neither_secrets_nor_files():
    """Fields are left out by their names, and long strings without words are cut."""
    content = {
        "title": "a",
        "token": "LEAK",
        "accessToken": "LEAK",
        "api_key": "LEAK",
        "nested": [{"clientSecret": "LEAK", "mediaKey": "LEAK", "password": "LEAK", "jpegThumbnail": "LEAK"}],
        "fileSha256": "LEAK",
        "messageContextInfo": {"messageSecret": "LEAK"},
        "blob": "QUJD" * 100,
        "empty": "",
        "big": 2**60,
    }
    assert raw_of(content) == {"title": "a", "nested": [{}], "blob": CUT, "big": str(2**60)}


@pytest.mark.parametrize(
    "content",
    [
        {"text": "palavra " * 5000},
        {f"name{index}": "palavra " * 20 for index in range(500)},
        [{"text": "ação " * 50, "rows": [{"title": "ação " * 90}] * 20}] * 200,
        {"x" * 3000: {"y" * 3000: ["é" * 3000] * 90}},
    ],
    ids=range(4),
)
def test_raw_is_never_larger_than_its_limit(content):
    """A long content is cut until it fits, and something of it is kept."""
    kept = raw_of(content)
    assert kept
    assert len(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()) <= RAW_MAX


@pytest.mark.parametrize("nothing", [None, "", 7, {}, [], {"token": "x"}])
def test_raw_of_nothing_is_nothing(nothing):
    """Content without any field that may be shown gives no copy."""
    assert raw_of(nothing) is None


def test_the_shape_of_a_misfit_has_names_and_no_values():
    """The shape names the event and the fields in order. A name that may be a number or an address is hidden."""
    body = {"b": "LEAK", "a": 1, "5511900000001@s.whatsapp.net": {}, "5511900000001": 2}
    assert misfit("messages.upsert", body, [{"c": "LEAK"}], "LEAK").shape == "messages.upsert {?,a,b} [{c}] str"
    assert misfit("5511900000001", None).shape == "? NoneType"
