"""Slugs made from names."""

import re
import unicodedata
from collections.abc import Iterator
from uuid import UUID

MAX_LENGTH = 63
_OTHERS = re.compile(r"[^a-z0-9]+")


def slugs_for(name: str, employee_id: UUID) -> Iterator[str]:
    """Candidates, the best first; the last one carries a part of the id, so that it is free."""
    base = slugify(name)
    yield base
    for number in range(2, 6):
        yield _with_suffix(base, str(number))
    # The end of a UUIDv7 is random; its beginning is the time.
    yield _with_suffix(base, employee_id.hex[-12:])


def slugify(name: str) -> str:
    """Kebab case out of any text; `employee` if nothing of it can be kept."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _OTHERS.sub("-", plain).strip("-")[:MAX_LENGTH].strip("-") or "employee"


def _with_suffix(base: str, suffix: str) -> str:
    return f"{base[: MAX_LENGTH - len(suffix) - 1].rstrip('-')}-{suffix}"
