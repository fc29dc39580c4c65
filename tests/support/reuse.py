"""Databases that are emptied and used again: copying the template takes a hundred times as long."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.databases import Postgres

MOST_USES = 50
"""So that what was deleted does not pile up."""

_CATALOGUE = (
    "pg_class",
    "pg_attribute",
    "pg_attrdef",
    "pg_constraint",
    "pg_default_acl",
    "pg_index",
    "pg_namespace",
    "pg_policy",
    "pg_proc",
    "pg_trigger",
)
_PARTS = ", ".join(f"(SELECT concat(count(*), ':', max(xmin::text::bigint)) FROM {table})" for table in _CATALOGUE)
_FORM = f"SELECT concat_ws(' ', {_PARTS}, (SELECT sum(reltuples) FROM pg_class WHERE relkind = 'r'))"
"""What whoever changes the schema, or has statistics collected, cannot leave as it was."""
_TABLES = """
SELECT string_agg(format('DELETE FROM %I.%I', schemaname, tablename), ';')
FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> 'alembic_version'
"""
_END_OTHERS = """
SELECT count(pg_terminate_backend(pid, 5000))
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class ReusedDatabases:
    """Copies of a template. One is empty, and nobody is connected to it, whenever it is given out; one of which more
    than the rows was changed is not given out again.
    """

    def __init__(self, server: "Postgres", template: str) -> None:
        self._server, self._template = server, template
        self._free: list[str] = []
        self._uses: Counter[str] = Counter()
        self._form = server.execute(_FORM, template)
        tables = server.execute(_TABLES, template)
        self._emptying = f"{_END_OTHERS}; SET session_replication_role = replica; {tables}; {_FORM}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database that nobody else has meanwhile."""
        name = self._free.pop() if self._free else self._server.create(template=self._template)
        self._uses[name] += 1
        try:
            yield self._server.url(name)
        finally:
            if self._uses[name] < MOST_USES and self._is_clean(name):
                self._free.append(name)
            else:
                self._server.drop(name)

    def _is_clean(self, name: str) -> bool:
        """Empties it, and looks whether that is all there was to do."""
        return self._server.execute(self._emptying, name).splitlines()[-1] == self._form
