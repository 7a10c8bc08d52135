"""`/docs`: the OpenAPI description as one plain page, without scripts and without anything from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

from gateways.base import OpenAPIObject

STYLE = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}"
CELLS = "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}h2{margin-top:2em;font:bold 1.1em monospace}"
METHODS = ("get", "post", "delete")

HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


def render(description: OpenAPIObject) -> str:
    """Return the page of an OpenAPI description."""
    info = description["info"]
    title = escape(f"{info['title']} {info['version']}")
    operations = [
        _operation(f"{method.upper()} {path}", item[method], description)
        for path, item in description["paths"].items()
        for method in METHODS
        if method in item
    ]
    intro = f"<h1>{title}</h1><p>The same for programs: <a href='openapi.json'>/openapi.json</a></p>"
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}{CELLS}</style>"
    return "\n".join([head, intro, *operations, "</html>"])


def _operation(name: str, operation: OpenAPIObject, description: OpenAPIObject) -> str:
    schemes = description["components"].get("securitySchemes", {})
    ways = [_way(schemes[scheme]) for needed in operation.get("security", []) for scheme in needed]
    how = f"<p>Authenticated by {escape(', or '.join(ways))}.</p>" if ways else ""
    return f"<h2>{escape(name)}</h2><p>{escape(operation['summary'])}</p>{how}{_responses(operation['responses'])}"


def _responses(responses: dict[str, Any]) -> str:
    rows = [f"<tr><td>{status}<td>{escape(each['description'])}" for status, each in responses.items()]
    return f"<table><tr><th>status<th>meaning{''.join(rows)}</table>"


def _way(scheme: OpenAPIObject) -> str:
    if scheme["type"] == "http":
        return "Authorization: Bearer …"
    return f"?{scheme['name']}=…" if scheme["in"] == "query" else f"the header {scheme['name']}"
