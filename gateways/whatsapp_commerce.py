"""Orders, products and payments in WhatsApp's own `message` object. The kind stays `unknown`, the part is `order`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from buffer.models import Ignored
from gateways.answers import parsed
from gateways.content import Content, amount_of, item_of, known, order_of, unknown_content
from gateways.fields import first_text, object_of, objects_of, text_of
from gateways.raw import words_of

ITEM_LISTS = ("products", "items", "product_items", "orderItems")
"""Names of fields with the items of an order, for gateways that fetch them."""


def order_content(raw_type: str, body: dict[str, Any], words: str | None, order: dict[str, Any]) -> Content:
    """Return the content of an order, a product or a payment. `words` are the person's text beside it."""
    content = unknown_content(raw_type, words, body)
    if order:
        content.extra["order"] = order
    return content


def _order(raw_type: str, body: dict[str, Any]) -> Content:
    words = first_text(body, "message", "text", "note") or words_of(body.get("body"))
    return order_content(raw_type, body, words, _order_in(body, words))


def _order_in(body: dict[str, Any], words: str | None) -> dict[str, Any]:
    currency = first_text(body, "totalCurrencyCode", "currencyCode", "currency")
    order_id = first_text(body, "orderId", "orderID", "order_id", "referenceId", "reference_id", "id")
    return order_of(order_id, words, items_in(body, currency), _amount(body, "total"), currency)


def order_inside(body: Any) -> dict[str, Any]:
    """Return the order in content of no known kind, an empty object if it has no items."""
    fields = object_of(body)
    order = _order_in(_button_order(fields, levels=3) or fields, words_of(body))
    return order if any("price" in item or "quantity" in item for item in order.get("items", ())) else {}


def _button_order(body: dict[str, Any], levels: int) -> dict[str, Any]:
    """Return the order in the parameters of a button ("review and pay"), which are JSON text."""
    for button in objects_of(body.get("buttons")):
        params = object_of(parsed(first_text(button, "buttonParamsJson", "buttonParamsJSON")))
        if order := object_of(params.get("order")):
            return params | order
    inner = [part for part in body.values() if isinstance(part, dict)] if levels else []
    return next((order for part in inner if (order := _button_order(part, levels - 1))), {})


def items_in(body: dict[str, Any], currency: str | None = None) -> list[dict[str, Any]]:
    """Return the items of an order, from whichever of the known lists it has."""
    listed = next((items for name in ITEM_LISTS if (items := objects_of(body.get(name)))), [])
    return [product_item(item, currency) for item in listed]


def product_item(product: dict[str, Any], currency: str | None = None) -> dict[str, Any]:
    """Return a product as an item. `retailer_id` is the shop's own number of it."""
    retailer_id = first_text(product, "retailerId", "retailerID", "product_retailer_id", "retailer_id")
    product_id = first_text(product, "productId", "productID", "product_id", "id")
    item = item_of(
        product_id or retailer_id,
        first_text(product, "name", "title"),
        product.get("quantity"),
        _amount(product, "price"),
        first_text(product, "currencyCode", "currency") or currency,
    )
    return item | (known(retailer_id=retailer_id) if product_id else {})


def _amount(body: dict[str, Any], what: str) -> float | None:
    """Return an amount of money: `total` or `price`, in thousandths where the name of the field says so."""
    for name in (f"{what}Amount1000", f"{what}_amount_1000", f"{what}1000"):
        if (amount := amount_of(body.get(name), 1000)) is not None:
            return amount
    for name in (f"{what}Amount", what, f"{what}_amount", f"item_{what}", "value", "amount"):
        if (amount := money_of(body.get(name))) is not None:
            return amount
    return None


def money_of(value: Any) -> float | None:
    """Return an amount of money from a number or from WhatsApp's `{value, offset}`."""
    if isinstance(value, dict):
        offset = amount_of(value.get("offset"))
        return amount_of(value.get("value"), int(offset) if offset and offset >= 1 else 1)
    return amount_of(value)


def _product(raw_type: str, body: dict[str, Any]) -> Content:
    """Read a product of the catalogue that the person sends or asks about."""
    product = object_of(body.get("product")) or object_of(body.get("catalog")) or body
    words = words_of(body.get("body")) or text_of(body.get("message"))
    order = order_of(None, words, [product_item(product)])
    return order_content(raw_type, body, words or first_text(product, "title", "name", "description"), order)


def _payment(raw_type: str, payment: dict[str, Any]) -> Content:
    body = object_of(payment.get("paymentInfo")) | payment
    words = words_of(body.get("noteMessage")) or first_text(body, "note", "message")
    amount = object_of(body.get("amount"))
    currency = first_text(body, "currencyCodeIso4217", "currencyCode", "currency")
    currency = currency or first_text(amount, "currencyCode", "currency_code")
    order = order_of(None, words, items_in(body, currency), _total(body), currency)
    return order_content(raw_type, body, words or words_of(body), order)


def _total(body: dict[str, Any]) -> float | None:
    thousandths = amount_of(body.get("amount1000"), 1000)
    if thousandths is not None:
        return thousandths
    return next(
        (money for name in ("amount", "total", "value") if (money := money_of(body.get(name))) is not None), None
    )


Reader = Callable[[dict[str, Any]], Content | Ignored]
ORDERS = ("orderMessage", "order", "reviewAndPay", "reviewOrder")
PRODUCTS = ("productMessage", "product")
PAYMENTS = (
    "requestPaymentMessage",
    "requestPayment",
    "sendPaymentMessage",
    "sendPayment",
    "invoiceMessage",
    "paymentInviteMessage",
)

COMMERCE_READERS: dict[str, Reader] = {
    **{name: partial(_order, name) for name in ORDERS},
    **{name: partial(_product, name) for name in PRODUCTS},
    **{name: partial(_payment, name) for name in PAYMENTS},
}
"""Readers by WhatsApp's key, and by Z-API's for the same."""
