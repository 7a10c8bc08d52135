"""The Markdown that is understood in an answer: a markdown-it parser in which all other text stays as it is.

Most of Markdown is switched off, because it changes plain text: escapes, entities, HTML, indented code, quotes,
hard line breaks. Lists need no rule: WhatsApp shows their lines as lists.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline

RULES = ("heading", "fence", "table", "emphasis", "strikethrough")

VERBATIM = re.compile(
    r"""
    \\[\\`*_~\[\]!<]                                                # an escaped mark
    | (?P<ticks>`++)(?s:.{1,4000}?)(?<!`)(?P=ticks)(?!`) | `++      # a code span
    | https?://[^\s<>\[\]]*[^\s<>\[\]*_~.,;:!?)'"]                  # an address
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Text in which no mark has a meaning."""

LINK = re.compile(
    r"""
    !?\[ (?P<label> (?: [^\[\]\\] | \\. | \[[^\[\]]*+\] )*+ ) \]
    \( [ \t]*+ <? (?P<url> (?:https?://|mailto:|tel:) [^\s<>()]*+ (?: \([^\s<>()]*+\) [^\s<>()]*+ )*+ ) >?
    (?: [ \t]++ (?: "[^"]*+" | '[^']*+' ) )?+ [ \t]*+ \)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""`[label](url)`, or `![label](url)` for an image. A title is left out."""

BARE_LINK = re.compile(r"<(https?://[^\s<>]++)>", re.IGNORECASE)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("zero").enable(list(RULES))
    for name, rule in (("verbatim", _verbatim), ("link_or_image", _link), ("bare_link", _bare_link)):
        parser.inline.ruler.push(name, rule)
    for first_letter in "hH":
        parser.inline.add_terminator_char(first_letter)
    return parser


def _verbatim(state: StateInline, silent: bool) -> bool:
    found = VERBATIM.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.append_pending(found[0])
    state.pos = found.end()
    return True


def _bare_link(state: StateInline, silent: bool) -> bool:
    found = BARE_LINK.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.append_pending(found[1])
    state.pos = found.end()
    return True


def _link(state: StateInline, silent: bool) -> bool:
    found = LINK.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        _push_link(state, found)
    state.pos = found.end()
    return True


def _push_link(state: StateInline, found: re.Match[str]) -> None:
    """Push the tokens of a link, or of an image as a link with markup `!`."""
    markup = "!" if found[0].startswith("!") else ""
    opening = state.push("link_open", "a", 1)
    opening.attrs = {"href": found["url"]}
    last = state.posMax
    state.pos, state.posMax = found.span("label")
    state.md.inline.tokenize(state)
    state.posMax = last
    closing = state.push("link_close", "a", -1)
    closing.markup, closing.attrs = markup, {"href": found["url"]}


PARSER = _parser()
"""The parser with the rules of this file."""
