"""Every operation, and how it is attacked. The server's own table of operations is held against this one."""

from collections.abc import Iterator, Sequence

from retinue.proving.entries import conversations, money, runs, tenants, work
from retinue.proving.entry import Entry

_WRITTEN = (*tenants.ENTRIES, *money.ENTRIES, *work.ENTRIES, *conversations.ENTRIES, *runs.ENTRIES)


def _implied(entries: Sequence[Entry]) -> Iterator[Entry]:
    """What every server answers besides what it describes: HEAD where there is GET, and OPTIONS everywhere."""
    for entry in {entry.path: entry for entry in entries}.values():
        yield _unwritten("OPTIONS", entry)
    for entry in {entry.path: entry for entry in entries if entry.method == "GET"}.values():
        yield _unwritten("HEAD", entry)


def _unwritten(method: str, entry: Entry) -> Entry:
    return Entry(
        method=method, path=entry.path, kinds=entry.kinds, found=(), is_public=entry.is_public, is_described=False
    )


ENTRIES = (*_WRITTEN, *_implied(_WRITTEN))

__all__ = ["ENTRIES"]
