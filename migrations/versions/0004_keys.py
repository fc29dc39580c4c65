"""Keys of tenants, the origins of their pages, the server's own secrets, and deleting a tenant without a trace.

Revision: 0004
Follows: 0003

Going down forgets all keys: their holders are locked out. It removes what is left of deleted tenants at once, and the
key to what the audit trail says of people and commands.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_OWNED = (
    "conversation_grants",
    "approvals",
    "tool_calls",
    "checkpoints",
    "run_events",
    "runs",
    "messages",
    "conversations",
    "employees",
    "ledger",
    "idempotency_records",
    "shop_actions",
    "shop_coupons",
    "shop_orders",
    "tenant_configs",
)
"""What tenants have at 0003, from the leaves to the roots."""


def upgrade() -> None:
    _create_api_keys()
    _create_tenant_origins()
    _create_server_secrets()
    _create_erasures()
    op.add_column("audit_heads", sa.Column("content_key", sa.LargeBinary()))


def downgrade() -> None:
    op.drop_column("audit_heads", "content_key")
    _finish_erasures()
    for table in ("server_secrets", "tenant_origins", "api_keys"):
        op.drop_table(table)


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", _MOMENT),
        sa.Column("last_used_at", _MOMENT),
        sa.Column("revoked_at", _MOMENT),
        sa.Column("rotated_from", sa.Uuid()),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_api_keys_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_api_keys"),
    )
    op.create_index("uq_api_keys_id", "api_keys", ["id"], unique=True)


def _create_tenant_origins() -> None:
    op.create_table(
        "tenant_origins",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_tenant_origins_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "origin", name="pk_tenant_origins"),
    )
    op.create_index("ix_tenant_origins_origin", "tenant_origins", ["origin"])


def _create_server_secrets() -> None:
    op.create_table(
        "server_secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_server_secrets"),
    )


def _create_erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("worker", sa.Text()),
        sa.Column("lease_expires_at", _MOMENT),
        sa.Column("removed", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_erasures_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_erasures"),
    )


def _finish_erasures() -> None:
    """Else deleted tenants would be there again. SQLite does not cascade while it migrates."""
    for table in _OWNED:
        op.execute(f"DELETE FROM {table} WHERE tenant_id IN (SELECT tenant_id FROM erasures)")  # noqa: S608
    op.execute("DELETE FROM tenants WHERE id IN (SELECT tenant_id FROM erasures)")
    op.drop_table("erasures")
