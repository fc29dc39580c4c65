"""Whether a statement says, for every table of tenants in it, whose rows it means."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ClauseElement
from sqlalchemy.sql.visitors import iterate


def unbound_tables(statement: Any) -> set[str]:
    """Names of tables that are neither asked for one tenant nor tied to a table that is."""
    if not isinstance(statement, ClauseElement):
        return set()
    parts = [part for part in iterate(statement) if isinstance(part, sa.Select | sa.Update | sa.Delete)]
    outer = {hash(table) for table in _tables(parts[0])} if parts else set()
    return {name for part in parts for name in _unbound(part, set() if part is parts[0] else outer)}


def _unbound(part: Any, outer: set[int]) -> set[str]:
    """`outer` are tables of the statement around: a subquery that has others, too, means the same rows of them."""
    tables = list(_tables(part))
    tables = [table for table in tables if hash(table) not in outer] or tables
    tied = {hash(column.table) for column in _tied(part)}  # the same for a table and its annotated copies
    return {str(getattr(table, "name", table)) for table in tables if hash(table) not in tied}


def _tables(part: Any) -> Iterator[Any]:
    froms = part.get_final_froms() if isinstance(part, sa.Select) else [part.table]
    for each in froms:
        for table in _leaves(each):
            if "tenant_id" in table.c:
                yield table


def _leaves(each: Any) -> Iterator[Any]:
    if isinstance(each, sa.Join):
        yield from _leaves(each.left)
        yield from _leaves(each.right)
    elif isinstance(each, sa.Table | sa.Alias):
        yield each


def _tied(part: Any) -> Iterator[Any]:
    """Columns `tenant_id` that must equal a value, or another table's."""
    conditions = list(part._where_criteria)
    for each in part.get_final_froms() if isinstance(part, sa.Select) else ():
        conditions += [join.onclause for join in iterate(each) if isinstance(join, sa.Join)]
    for condition in conditions:
        for equality in _required(condition):
            for side in (equality.left, equality.right):
                if getattr(side, "name", None) == "tenant_id" and getattr(side, "table", None) is not None:
                    yield side


def _required(condition: Any) -> Iterator[Any]:
    """What must be so for a row to be found: parts of AND, not of OR."""
    if isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for clause in condition.clauses:
            yield from _required(clause)
    if isinstance(condition, BinaryExpression) and condition.operator is operators.eq:
        yield condition
