"""What a person said in a batch, as text and files for agents that do not read our body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from agents.burst_body import message_fields
from buffer.models import Batch
from gateways.sending import is_link

MARKS = {
    "image": "[imagem]",
    "audio": "[áudio sem transcrição]",
    "video": "[vídeo]",
    "document": "[documento]",
    "location": "[localização]",
    "contact": "[contato]",
    "unknown": "[mensagem não suportada]",
}
"""What stands in the text for a message that the agent cannot open."""

LOCKED = frozenset({"meta", "twilio", "waha", "telegram"})
"""Gateways whose media addresses need credentials of ours, or hold them."""


class File(NamedTuple):
    """A file of a message. `url` is an address that anybody can open, or empty; `base64` is the content, or empty."""

    kind: str
    url: str
    base64: str
    mime: str
    name: str

    @property
    def data_url(self) -> str:
        """Return the content as an address, or an empty text."""
        return f"data:{self.mime.replace(' ', '')};base64,{self.base64}" if self.base64 else ""


class Said(NamedTuple):
    """The text, never empty for a batch with messages, and the files that go along."""

    text: str
    files: tuple[File, ...]


def said(batch: Batch, carries: Callable[[File], bool]) -> Said:
    """Return the batch as text, and the files that the agent can take. The others become marks in the text."""
    lines, files = [], []
    for stored in batch.messages:
        fields = message_fields(stored)
        found = _file(batch.conversation.gateway, fields)
        is_carried = found is not None and carries(found)
        if found is not None and is_carried:
            files.append(found)
        lines.append(_line(fields, is_carried))
    text = batch.separator.join(line for line in lines if line)
    return Said(text or "\n".join(MARKS.get(file.kind, MARKS["unknown"]) for file in files), tuple(files))


def nothing(_: File) -> bool:
    """Carry no file."""
    return False


def with_address(file: File) -> bool:
    """Carry files that the agent can fetch."""
    return bool(file.url)


def _line(fields: dict[str, Any], is_carried: bool) -> str:
    text, kind = fields.get("text") or "", fields.get("kind")
    if kind == "audio" and (transcript := fields.get("transcript")):
        return f"[audio] {transcript}"
    if is_carried or kind not in MARKS:
        return str(text)
    return f"{_mark(str(kind), fields)} {text}".rstrip()


def _mark(kind: str, fields: dict[str, Any]) -> str:
    if kind == "image" and fields.get("sticker"):
        return "[figurinha]"
    if kind == "location" and isinstance(place := fields.get("location"), dict):
        return f"{MARKS[kind]} {place.get('latitude')},{place.get('longitude')}"
    return MARKS[kind]


def _file(gateway: str, fields: dict[str, Any]) -> File | None:
    media = fields.get("media")
    if not isinstance(media, dict):
        return None
    names = ("url", "base64", "mime", "filename")
    url, base64, mime, name = (str(media.get(field) or "") for field in names)
    return File(str(fields["kind"]), url if _is_public(gateway, url) else "", base64, mime or _mime(fields), name)


def _mime(fields: dict[str, Any]) -> str:
    known = {"image": "image/jpeg", "audio": "audio/ogg", "video": "video/mp4"}
    return known.get(fields["kind"], "application/octet-stream")


def _is_public(gateway: str, url: str) -> bool:
    if gateway in LOCKED or not is_link(url):
        return False
    parts = urlsplit(url)
    return not (parts.path.endswith(".enc") or (parts.hostname or "").endswith(".whatsapp.net"))
