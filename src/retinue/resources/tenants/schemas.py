"""Bodies of tenant requests."""

from msgspec import UNSET, UnsetType

from retinue.http.schemas import Name, RequestBody, Slug


class TenantCreate(RequestBody, frozen=True, kw_only=True):
    name: Name
    slug: Slug
    """Kebab case; unique among all tenants."""


class TenantUpdate(RequestBody, frozen=True, kw_only=True):
    """What is left out stays."""

    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
