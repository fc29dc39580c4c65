"""A join whose left side SQLite reads first. It has no statistics, and would begin with the longer side."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles


class OrderedJoin(sa.Join):
    inherit_cache = True


@compiles(OrderedJoin)
def _render(join: OrderedJoin, compiler: Any, **options: Any) -> str:
    sides = (compiler.process(side, **options | {"asfrom": True}) for side in (join.left, join.right))
    return " CROSS JOIN ".join(sides)
