"""The list of the built-in tools."""

from typing import Any

import httpx2

from retinue.egress import EgressPolicy
from retinue.tools.base import Tool
from retinue.tools.builtin.calculate import Calculate
from retinue.tools.builtin.current_time import CurrentTime
from retinue.tools.builtin.fallback import FallbackRespond
from retinue.tools.builtin.fetch_url import FETCH_MAX_BYTES, FETCH_SECONDS, FetchUrl
from retinue.tools.builtin.shop.changes import ApplyDiscount, CancelOrder, GenerateCoupon
from retinue.tools.builtin.shop.lookups import GetOrderStatus, GetTrackingInfo
from retinue.tools.builtin.shop.port import Shop


def builtin_tools(
    http: httpx2.AsyncClient,
    policy: EgressPolicy,
    shop: Shop,
    *,
    fetch_max_bytes: int = FETCH_MAX_BYTES,
    fetch_seconds: float = FETCH_SECONDS,
) -> list[Tool[Any]]:
    """All of them. `http` has to be a client of `retinue.egress.make_client`; it stays the caller's to close."""
    return [
        Calculate(),
        CurrentTime(),
        FallbackRespond(),
        FetchUrl(http, policy, max_bytes=fetch_max_bytes, seconds=fetch_seconds),
        GetOrderStatus(shop),
        GetTrackingInfo(shop),
        CancelOrder(shop),
        ApplyDiscount(shop),
        GenerateCoupon(shop),
    ]
