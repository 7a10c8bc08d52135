"""Which settings the replies of each gateway need: its address, its secret, and a second name or secret."""

from __future__ import annotations

from typing import NamedTuple


class Credentials(NamedTuple):
    """The names of a gateway's settings for replies. `account_key` is the key of `account` in the routes file."""

    url: str
    secret: str
    account: str | None = None
    account_key: str | None = None
    needs_secret: bool = True

    def needed(self) -> list[str]:
        """Return the settings without which no reply can be sent."""
        return [name for name in (self.url, self.account, self.secret if self.needs_secret else None) if name]


REPLY_CREDENTIALS: dict[str, Credentials] = {
    "generic": Credentials("generic_reply_url", "generic_reply_secret", needs_secret=False),
    "evolution": Credentials("evolution_url", "evolution_api_key", "evolution_flavor", "flavor"),
    "meta": Credentials("meta_url", "meta_access_token"),
    "twilio": Credentials("twilio_url", "twilio_auth_token", "twilio_account_sid", "account_sid"),
    "chatwoot": Credentials("chatwoot_url", "chatwoot_api_token"),
    "waha": Credentials("waha_url", "waha_api_key"),
    "zapi": Credentials("zapi_url", "zapi_client_token", "zapi_instance_token", "instance_token"),
    "uazapi": Credentials("uazapi_url", "uazapi_token"),
    "telegram": Credentials("telegram_url", "telegram_bot_token"),
}
"""By the name of the gateway. tests/unit/test_gateways_targets.py compares it with the gateways that there are."""
