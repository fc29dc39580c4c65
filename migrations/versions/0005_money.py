"""Limits, budgets, prices and usage.

Revision: 0005
Follows: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


_MOMENT = sa.DateTime(timezone=True)

_BOUNDS = ("requests_per_minute", "tokens_per_minute", "concurrent_runs")


_WHOSE_RUNS = """
UPDATE runs SET user_id = (
    SELECT conversations.user_id FROM conversations
    WHERE conversations.tenant_id = runs.tenant_id AND conversations.id = runs.conversation_id
)
"""


_WHOSE_CALLS = """
UPDATE ledger SET user_id = (
    SELECT conversations.user_id FROM conversations
    WHERE conversations.tenant_id = ledger.tenant_id AND conversations.id = ledger.conversation_id
)
"""


def upgrade() -> None:
    _make_limits()
    _extend_runs()
    _extend_ledger()
    _create_budgets()
    _create_tenant_prices()


def downgrade() -> None:
    op.drop_table("tenant_prices")
    op.drop_table("budgets")
    for name in ("reservations", "key_id", "user_id"):
        op.drop_column("ledger", name)
    for name in ("user_id", "key_id"):
        op.drop_column("runs", name)
    op.drop_table("tenant_limits")


def _extend_runs() -> None:
    op.add_column("runs", sa.Column("key_id", sa.Uuid()))
    op.add_column("runs", sa.Column("user_id", sa.Text()))
    op.execute(_WHOSE_RUNS)


def _make_limits() -> None:
    op.create_table(
        "tenant_limits",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        *(sa.Column(f"{party}_{bound}", sa.Integer()) for party in ("tenant", "key", "user") for bound in _BOUNDS),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenant_limits"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_tenant_limits_tenant_id", ondelete="CASCADE"),
    )


def _extend_ledger() -> None:
    """Calls of deleted conversations stay without a user."""
    op.add_column("ledger", sa.Column("user_id", sa.Text()))
    op.add_column("ledger", sa.Column("key_id", sa.Uuid()))
    op.add_column("ledger", sa.Column("reservations", sa.JSON()))
    op.execute(_WHOSE_CALLS)


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("limit_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("soft_percent", sa.Integer()),
        sa.Column("hard_stop", sa.Boolean(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("period_start", _MOMENT, nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.Column("reserved_micros", sa.BigInteger(), nullable=False),
        sa.Column("alerted_at", _MOMENT),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_budgets_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_budgets"),
    )
    key = ["tenant_id", "subject_id", "subject", "period", "set_by"]
    op.create_index("uq_budgets_subject", "budgets", key, unique=True)


def _create_tenant_prices() -> None:
    op.create_table(
        "tenant_prices",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("prices", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_tenant_prices_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenant_prices"),
    )
