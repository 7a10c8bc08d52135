"""What becomes of Markdown, and what stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.sending import Part, PartKind
from gateways.whatsapp_markdown import MARKDOWN_MAX, styled_parts, styled_text

KINDS: frozenset[PartKind] = frozenset({"image", "audio", "video", "document"})
PHOTO, NOTE = "https://cdn.example.com/foto.jpg", "https://example.com/nota%20fiscal.pdf?x=1"


def text(words: str) -> Part:
    """A part that is a text."""
    return Part(text=words)


STYLED = {
    "**negrito** e __negrito__": "*negrito* e *negrito*",
    "~~riscado~~": "~riscado~",
    "**Nome:** Ana, **Valor:** R$ 10": "*Nome:* Ana, *Valor:* R$ 10",
    "***os dois***": "_*os dois*_",
    "*um **b** c*": "_um *b* c_",
    "**a *b* c**": "*a _b_ c*",
    "**a **b** c**": "*a b c*",
    "**a ~~b~~ c**": "*a ~b~ c*",
    "**duas\nlinhas**": "*duas*\n*linhas*",
    "# Título": "*Título*",
    "### **Título** com *ênfase* ###": "*Título com _ênfase_*",
    "# Um\nDois\n## Três": "*Um*\nDois\n*Três*",
    "* um\n* **dois**\n    * três": "- um\n- *dois*\n    - três",
    "- um\n1. **dois**\n> **três**": "- um\n1. *dois*\n> *três*",
    "- **um\n- dois**": "- **um\n- dois**",
    "[site](https://example.com/a_(b)_c)": "site: https://example.com/a_(b)_c",
    '[site](<https://example.com> "título")': "site: https://example.com",
    "[**site**](https://example.com)": "*site*: https://example.com",
    "[Veja:](https://example.com)": "Veja: https://example.com",
    "[](https://example.com)": "https://example.com",
    "[https://example.com](https://example.com/)": "https://example.com/",
    "[www.example.com](https://www.example.com)": "https://www.example.com",
    "[ana@example.com](mailto:ana@example.com)": "ana@example.com",
    "[ligue](tel:+551100000000)": "ligue: +551100000000",
    "veja <https://example.com/a_b_>.": "veja https://example.com/a_b_.",
    "**https://example.com/a__b__c**": "*https://example.com/a__b__c*",
    "[a [b] c](https://example.com)": "a [b] c: https://example.com",
    "| Plano | **Preço** |\n|---|--:|\n| Um | [aqui](https://x.io) |\n| Dois |\nfim": (
        "*Plano* | *Preço*\nUm | aqui: https://x.io\nDois\nfim"
    ),
    "|a||\n|-|-|\n|b|c|**d**|\n||e\\|f|": "*a* |\nb | c | *d*\n| e|f",
    f"veja ![foto]({PHOTO})": f"veja foto: {PHOTO}",
    "`**a**` **b** ``c ` **d**``": "`**a**` *b* ``c ` **d**``",
    "```py\n**a**\n# b\n```\n**c**": "```py\n**a**\n# b\n```\n*c*",
    "- x\n    ```\n    **a**\n    ```\n**c**": "- x\n    ```\n    **a**\n    ```\n*c*",
    "~~~\n**a**": "~~~\n**a**",
    "a\r\n\r\n**b**\r\n": "a\n\n*b*\n",
    "\n\n**a**\n\n\n# b\n\n": "\n\n*a*\n\n\n*b*\n\n",
}


@pytest.mark.parametrize("markdown", STYLED)
def test_it_is_styled(markdown: str):
    """The marks of Markdown become those of WhatsApp."""
    assert styled_parts(markdown) == [text(STYLED[markdown])]


@pytest.mark.parametrize("markdown", STYLED)
def test_what_is_styled_stays(markdown: str):
    """A styled text is plain text to Markdown."""
    assert styled_text(STYLED[markdown]) == STYLED[markdown]


@pytest.mark.parametrize(
    "plain",
    [
        "*negrito* e _itálico_ do WhatsApp",
        "2 * 3 * 4 e 2 ** 3 ** 4",
        "2\n+ 3\n= 5",
        "#oferta #natal",
        "a_b_c e a__b__c",
        "C:\\*.txt e ¯\\_(ツ)_/¯",
        "\\*\\*não\\*\\*",
        "R$ 10 &copy; &amp; <b>x</b>",
        "f[0](x) e [nota](veja abaixo) e [x](javascript:alert)",
        "Título\n=====\n\noutro\n---",
        "    recuado\n\n\ttabulado",
        "linha  \nlinha\\\nlinha",
        "https://example.com/a_b_c?x=**y**&copy=1",
        "`sem fim **a",
        "~um~ ~ ~~ ~~~",
        "|a|b|\n|c|d|",
        "nulo \0 e fim\r\n\r\nlinha\r",
        "**",
        "# ",
        "> citado\n> de novo",
        "",
        " \n ",
    ],
)
def test_plain_text_stays(plain: str):
    """Text that only looks like Markdown comes out byte for byte."""
    assert styled_parts(plain, KINDS) == [text(plain)]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*_~`[<#|\\")))
def test_text_without_marks_stays(plain: str):
    """Text without a character that means something in Markdown comes out byte for byte."""
    assert styled_parts(plain, KINDS) == [text(plain)]


@given(st.lists(st.sampled_from(["oi ", "a_b", "*x*", "_y_", "~z~", "- ", "\n", "\n\n", "2*3 ", "# ", "\t", " "])))
def test_text_in_whatsapps_own_style_stays(pieces: list[str]):
    """An agent that writes for WhatsApp is not corrected, save for its headings."""
    plain = "".join(pieces).replace("# ", "").replace("**", "*").replace("__", "_").replace("~~", "~")
    if "\n* " not in f"\n{plain}":
        assert styled_text(plain) == plain


MARKS = (
    "**",
    "__",
    "~~",
    "*",
    "_",
    "`",
    "```\n",
    "# ",
    "- ",
    "* ",
    "|",
    "|-|",
    "[",
    "](https://x.io)",
    "![",
    "\\",
    "<",
)
PIECES = st.lists(
    st.sampled_from(["oi", "a b", "é", " ", "\n", "\n\n", "https://x.io/a_b", "f.jpg)", *MARKS]), max_size=30
)


@given(PIECES)
def test_no_word_is_lost(pieces: list[str]):
    """Whatever is broken in the Markdown, the words and addresses come out."""
    markdown = "".join(piece.replace("%d", str(number)) for number, piece in enumerate(pieces))
    out = "\n".join(f"{part.text or ''} {part.url or ''}" for part in styled_parts(markdown, KINDS))
    assert sorted(filter(str.isalnum, out)) == sorted(filter(str.isalnum, markdown))


@given(st.lists(st.sampled_from(["oi", "`**a**`", "`` __b__ ` ``", "https://x.io/a__b__?**c", "**", "~~", "\n"])))
def test_code_and_addresses_are_not_touched(pieces: list[str]):
    """What stands in a code span or an address is the same afterwards."""
    out = styled_text(" ".join(pieces))
    for kept in ("`**a**`", "`` __b__ ` ``", "https://x.io/a__b__?**c"):
        assert out.count(kept) == pieces.count(kept)


PARTS = {
    f"![a foto]({PHOTO})": [Part("image", "a foto", PHOTO)],
    f"![]({PHOTO})": [Part("image", None, PHOTO)],
    "![x](https://example.com/1)": [Part("image", "x", "https://example.com/1")],
    "![x](https://example.com/v.MP4)": [Part("video", "x", "https://example.com/v.MP4")],
    f"[Nota]({NOTE})": [Part("document", "Nota", NOTE, "nota fiscal.pdf")],
    "[voz](https://example.com/a.ogg)": [Part("audio", "voz", "https://example.com/a.ogg")],
    f"Antes\n\n  [Nota]({NOTE})  \n\nDepois": [
        text("Antes"),
        Part("document", "Nota", NOTE, "nota fiscal.pdf"),
        text("Depois"),
    ],
    f"Antes ![a]({PHOTO}) **meio** ![b]({PHOTO})": [
        text("Antes"),
        Part("image", "a", PHOTO),
        text("*meio*"),
        Part("image", "b", PHOTO),
    ],
    f"Fotos:\n- ![a]({PHOTO})\n- ![b]({PHOTO})\nfim": [
        text("Fotos:"),
        Part("image", "a", PHOTO),
        Part("image", "b", PHOTO),
        text("fim"),
    ],
    f"veja a [nota]({NOTE}) já": [text(f"veja a nota: {NOTE} já")],
    f"[a]({NOTE}) [b]({NOTE})": [text(f"a: {NOTE} b: {NOTE}")],
    f"- [nota]({NOTE})": [text(f"- nota: {NOTE}")],
    f"**[nota]({NOTE})**": [text(f"*nota: {NOTE}*")],
    f"# ![logo]({PHOTO})": [text(f"*logo: {PHOTO}*")],
    f"[![a]({PHOTO})](https://example.com)": [text(f"a: {PHOTO}: https://example.com")],
    "[site](https://example.com/pagina.html)": [text("site: https://example.com/pagina.html")],
    "[site](https://example.zip)": [text("site: https://example.zip")],
    NOTE: [text(NOTE)],
    f"`![a]({PHOTO})`": [text(f"`![a]({PHOTO})`")],
}


@pytest.mark.parametrize("markdown", PARTS)
def test_files_become_parts(markdown: str):
    """An image anywhere in the text, and a labelled link alone on its line to a file, is sent as that file."""
    assert styled_parts(markdown, KINDS) == PARTS[markdown]


def test_files_that_cannot_be_sent_stay_in_the_text():
    """A gateway without documents gets the link where it stood."""
    markdown = f"Um\n\n[Nota]({NOTE})\n\n![a]({PHOTO})"
    assert styled_parts(markdown, {"image"}) == [text(f"Um\n\nNota: {NOTE}"), Part("image", "a", PHOTO)]
    assert styled_parts(markdown) == [text(f"Um\n\nNota: {NOTE}\n\na: {PHOTO}")]


def test_a_very_long_text_stays():
    """What would take long to read is sent as it is."""
    assert styled_text("**a** " * MARKDOWN_MAX) == "**a** " * MARKDOWN_MAX


@pytest.mark.parametrize(
    "piece", ["*a _", "_*", "[[", "![a](", "[[a]](http://x ", "`a``", "~~a ", "**a\n", "|a|\n|-|\n", "<h"]
)
def test_hostile_text_ends(piece: str):
    """Marks without end neither hang the parser nor exceed the depth of calls."""
    assert styled_parts(piece * (MARKDOWN_MAX // len(piece)), KINDS)
