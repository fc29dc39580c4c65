"""Sums of the ledger.

Revision: 0007
Follows: 0006

Calls that the ledger holds already are summed by the servers once they run: until then usage is told from the rows, as
before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_UNSUMMED = sa.text("outcome <> 'open' AND is_summed IS NULL")
_TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def upgrade() -> None:
    op.add_column("ledger", sa.Column("is_summed", sa.Boolean()))
    op.create_index(
        "ix_ledger_unsummed",
        "ledger",
        ["tenant_id", "opened_at"],
        postgresql_where=_UNSUMMED,
        sqlite_where=_UNSUMMED,
    )
    _create_sums()
    _create_returns()


def downgrade() -> None:
    op.drop_table("usage_returns")
    op.drop_table("usage_sums")
    op.drop_index("ix_ledger_unsummed", "ledger")
    op.drop_column("ledger", "is_summed")


def _create_sums() -> None:
    op.create_table(
        "usage_sums",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("grouping", sa.Text(), nullable=False),
        sa.Column("span", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger()) for name in (*_TOKENS, "cost_micros")),
        sa.Column("unknown_cost_calls", sa.BigInteger(), nullable=False),
        sa.Column("estimated_calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "grouping", "span", "key", name="pk_usage_sums"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_usage_sums_tenant_id", ondelete="CASCADE"),
    )


def _create_returns() -> None:
    op.create_table(
        "usage_returns",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("grouping", sa.Text(), nullable=False),
        sa.Column("reach", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("left_slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "grouping", "reach", "slot", "left_slot", "key", name="pk_usage_returns"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_usage_returns_tenant_id", ondelete="CASCADE"),
    )
