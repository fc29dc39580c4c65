"""Results of tool calls as text.

Revision: 0008
Follows: 0007

SQLite makes numbers of texts that look like numbers where a column is declared as JSON, so a result that was a bare
number could not be read any more. PostgreSQL keeps what it is given.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _declare(sa.Text())


def downgrade() -> None:
    _declare(sa.JSON())


def _declare(kind: sa.types.TypeEngine[Any]) -> None:
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("tool_calls") as calls:
            calls.alter_column("result", type_=kind)
