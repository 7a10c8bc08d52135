"""All kinds of agents by their names in AGENT_KIND."""

from __future__ import annotations

from agents import dify, flowise, generic, langgraph, n8n, openai, typebot
from agents.base import AgentKind

KINDS: dict[str, AgentKind] = {
    "generic": generic.KIND,
    "n8n": n8n.KIND,
    "openai": openai.KIND,
    "dify": dify.KIND,
    "flowise": flowise.KIND,
    "typebot": typebot.KIND,
    "langgraph": langgraph.KIND,
}
