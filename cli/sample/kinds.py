"""The sample agents by their kinds, with the settings that reach each of them."""

from __future__ import annotations

from typing import NamedTuple

from cli.sample.base import KEY, SampleAgent
from cli.sample.dify import SampleDify
from cli.sample.flowise import SampleFlowise
from cli.sample.langgraph import SampleLangGraph
from cli.sample.n8n import SampleN8n
from cli.sample.openai import SampleOpenAI
from cli.sample.typebot import SampleTypebot


class Sample(NamedTuple):
    """A kind of sample agent: its class, the path of AGENT_URL, and the other settings."""

    agent: type[SampleAgent]
    path: str
    settings: dict[str, str]


SAMPLES: dict[str, Sample] = {
    "n8n": Sample(SampleN8n, "/webhook/bot", {}),
    "openai": Sample(SampleOpenAI, "/v1", {"AGENT_KEY": KEY, "AGENT_MODEL": "sample"}),
    "dify": Sample(SampleDify, "/v1", {"AGENT_KEY": KEY}),
    "flowise": Sample(SampleFlowise, "/api/v1/prediction/sample", {}),
    "typebot": Sample(SampleTypebot, "/api/v1/typebots/sample/startChat", {}),
    "langgraph": Sample(SampleLangGraph, "", {"AGENT_KEY": KEY}),
}
