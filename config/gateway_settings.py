"""The settings of the gateways: the secrets of their webhooks, and the addresses and secrets of our replies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from config.setting_types import (
    BaseAddress,
    BlankIsNone,
    OptionalAddress,
    OptionalBaseAddress,
    OptionalSecret,
    blank_to_none,
)


class GatewaySettings(BaseSettings):
    """Secrets that open webhooks, then what replies need. UAZAPI_TOKEN and TWILIO_AUTH_TOKEN serve both ways."""

    generic_token: OptionalSecret = Field(None, description="opens /webhooks/generic: the token of its requests")
    evolution_token: OptionalSecret = Field(None, description="opens /webhooks/evolution: the token of its requests")
    evolution_jwt_key: OptionalSecret = Field(
        None, description="opens /webhooks/evolution: the jwt_key with which Evolution signs tokens"
    )
    meta_app_secret: OptionalSecret = Field(
        None, description="opens /webhooks/meta: the App Secret with which Meta signs"
    )
    meta_verify_token: OptionalSecret = Field(
        None, description="the Verify Token that Meta sends when the URL is registered"
    )
    twilio_auth_token: OptionalSecret = Field(
        None,
        description="opens /webhooks/twilio: the Auth Token with which Twilio signs, and replies are sent; needs "
        "PUBLIC_BASE_URL",
    )
    chatwoot_secret: OptionalSecret = Field(
        None, description="opens /webhooks/chatwoot: the secret with which Chatwoot signs"
    )
    chatwoot_token: OptionalSecret = Field(
        None, description="opens /webhooks/chatwoot: the token of a version that does not sign"
    )
    waha_hmac_key: OptionalSecret = Field(None, description="opens /webhooks/waha: the key with which WAHA signs")
    zapi_token: OptionalSecret = Field(None, description="opens /webhooks/zapi: the token of its requests")
    uazapi_token: OptionalSecret = Field(
        None, description="opens /webhooks/uazapi: the token of the instance, with which replies are sent, too"
    )
    telegram_secret_token: OptionalSecret = Field(
        None, description="opens /webhooks/telegram: the secret_token given to setWebhook"
    )

    evolution_url: OptionalBaseAddress = Field(None, repr=False, description="address of Evolution's API, for replies")
    evolution_api_key: OptionalSecret = Field(None, description="API key of Evolution or of its instance, for replies")
    evolution_flavor: Literal["v2", "go"] = Field(
        "v2", description="which Evolution sends the replies: v2, or go for Evolution Go"
    )
    meta_url: BaseAddress = Field(
        "https://graph.facebook.com/v26.0", repr=False, description="address of Meta's Graph API, with its version"
    )
    meta_access_token: OptionalSecret = Field(None, description="access token of the WhatsApp account, for replies")
    twilio_url: BaseAddress = Field("https://api.twilio.com", repr=False, description="address of Twilio's API")
    twilio_account_sid: Annotated[str | None, BlankIsNone] = Field(
        None, description="Account SID of Twilio, for replies"
    )
    waha_url: OptionalBaseAddress = Field(None, repr=False, description="address of WAHA, for replies")
    waha_api_key: OptionalSecret = Field(None, description="API key of WAHA, for replies")
    zapi_url: BaseAddress = Field("https://api.z-api.io", repr=False, description="address of Z-API")
    zapi_instance_token: OptionalSecret = Field(None, description="token of the Z-API instance, for replies")
    zapi_client_token: OptionalSecret = Field(None, description="Client-Token of the Z-API account, for replies")
    uazapi_url: OptionalBaseAddress = Field(
        None, repr=False, description="address of the uazapi server, for replies; e.g. https://free.uazapi.com"
    )
    telegram_url: BaseAddress = Field(
        "https://api.telegram.org", repr=False, description="address of Telegram's Bot API"
    )
    telegram_bot_token: OptionalSecret = Field(None, description="token of the Telegram bot, for replies")
    chatwoot_url: OptionalBaseAddress = Field(None, repr=False, description="address of Chatwoot, for replies")
    chatwoot_api_token: OptionalSecret = Field(
        None, description="access token of a Chatwoot user or agent bot, for replies"
    )
    generic_reply_url: OptionalAddress = Field(
        None, repr=False, description="address that replies to /webhooks/generic are posted to"
    )
    generic_reply_secret: OptionalSecret = Field(
        None,
        description="key that signs replies to /webhooks/generic (Standard Webhooks); one that does not begin with "
        "whsec_ is sent as a bearer token, too",
    )
    generic_reply_idempotent: bool = Field(
        False,
        description="true: GENERIC_REPLY_URL knows a repeated Idempotency-Key; a reply whose fate is unknown is sent "
        "again",
    )

    @field_validator("meta_url", "twilio_url", "zapi_url", "telegram_url", mode="before")
    @classmethod
    def _blank_is_default(cls, value: Any, info: ValidationInfo) -> Any:
        return blank_to_none(value) or cls.model_fields[info.field_name or ""].default
