"""Tells which links lead to a file that a gateway can send."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from gateways.sending import PartKind, is_link

KINDS: dict[str, PartKind] = {
    **dict.fromkeys(("jpg", "jpeg", "png", "gif", "webp"), "image"),
    **dict.fromkeys(("mp3", "ogg", "oga", "opus", "m4a", "aac", "amr", "wav"), "audio"),
    **dict.fromkeys(("mp4", "3gp", "mov", "webm"), "video"),
    **dict.fromkeys(
        ("pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "csv", "txt", "zip"), "document"
    ),
}
"""The kinds of files by the ending of their name."""


def media_kind(url: str) -> PartKind | None:
    """Return the kind of the file that the link names, or None for a page."""
    return KINDS.get(file_name(url).rpartition(".")[2].lower()) if is_link(url) else None


def file_name(url: str) -> str:
    """Return the last name in the path of a link."""
    return unquote(urlsplit(url).path.rpartition("/")[2])
