"""The journal of effects, approvals, the audit trail, sessions, and the demo shop.

Revision: 0003
Follows: 0002

Going down removes what 0002 has no place for: calls that did not come to an end are deleted and those that were not
carried out count as failed; messages that wait or expired are cancelled, and runs that wait for anybody are, too;
approvals, grants, the shop and the whole audit trail are lost. Keep a copy of `audit_entries` first. Stored events of
the kinds that came with this version cannot be read by the one before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PENDING = sa.text("status = 'pending'")
_AWAITED = sa.text("password_expires_at IS NOT NULL")
_OF_USER = sa.text("role = 'user'")
_MOMENT = sa.DateTime(timezone=True)

_JOURNAL_COLUMNS = ("version", "effect", "risk", "detail", "approval_id", "resolved_by")

_FORGET_OPEN_CALLS = "DELETE FROM tool_calls WHERE finished_at IS NULL"
_END_CALLS_AS_0002_KNOWS = """
UPDATE tool_calls SET
    status = CASE WHEN status = 'succeeded' THEN 'succeeded' ELSE 'failed' END,
    duration_ms = coalesce(duration_ms, 0),
    started_at = coalesce(started_at, finished_at)
"""
_END_WAITING_RUNS = """
UPDATE runs SET
    status = 'cancelled', finish_reason = 'cancelled', owner = NULL, lease_expires_at = NULL,
    finished_at = coalesce(started_at, created_at)
WHERE status = 'waiting' AND waiting_for IS NOT NULL
"""

_SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER audit_entries_unchanged BEFORE UPDATE ON audit_entries
    BEGIN SELECT RAISE(ABORT, 'the audit trail is never changed'); END
    """,
    """
    CREATE TRIGGER audit_entries_kept BEFORE DELETE ON audit_entries
    BEGIN SELECT RAISE(ABORT, 'the audit trail is never changed'); END
    """,
    # INSERT OR REPLACE deletes without asking the trigger above.
    """
    CREATE TRIGGER audit_entries_not_replaced BEFORE INSERT ON audit_entries
    WHEN EXISTS (SELECT 1 FROM audit_entries WHERE tenant_id = NEW.tenant_id AND seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'the audit trail is never changed'); END
    """,
)
_POSTGRESQL_TRIGGERS = (
    """
    CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit trail is never changed' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE TRIGGER audit_entries_unchanged BEFORE UPDATE OR DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()
    """,
    """
    CREATE TRIGGER audit_entries_kept BEFORE TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
)


def upgrade() -> None:
    _extend_runs()
    op.add_column("conversations", sa.Column("session_ttl_seconds", sa.Integer()))
    op.add_column("conversations", sa.Column("reopened_at", _MOMENT))
    _create_partial_index("ix_messages_user", "messages", ["tenant_id", "conversation_id", "created_at"], _OF_USER)
    _make_journal()
    _create_approvals()
    _create_conversation_grants()
    _create_audit_entries()
    _create_audit_heads()
    _create_shop()


def downgrade() -> None:
    for table in ("shop_actions", "shop_coupons", "shop_orders", "audit_heads", "audit_entries"):
        op.drop_table(table)
    if _is_postgresql():
        op.execute("DROP FUNCTION refuse_audit_change()")
    op.drop_table("conversation_grants")
    op.drop_table("approvals")
    _unmake_journal()
    op.drop_index("ix_messages_user", "messages")
    op.execute("UPDATE messages SET status = 'cancelled' WHERE status IN ('waiting', 'expired')")
    op.execute(_END_WAITING_RUNS)
    for table, columns in (
        ("conversations", ("reopened_at", "session_ttl_seconds")),
        ("runs", ("pauses", "waiting_for")),
    ):
        for name in columns:
            op.drop_column(table, name)


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _extend_runs() -> None:
    op.add_column("runs", sa.Column("waiting_for", sa.Text()))
    # The default only fills what is there.
    op.add_column("runs", sa.Column("pauses", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("runs") as runs:
        runs.alter_column("pauses", server_default=None)


def _make_journal() -> None:
    for column in (
        sa.Column("version", sa.Text(), nullable=False, server_default=""),
        sa.Column("effect", sa.Text(), nullable=False, server_default="read"),
        sa.Column("risk", sa.Text(), nullable=False, server_default="none"),
        sa.Column("detail", sa.Text()),
        sa.Column("approval_id", sa.Uuid()),
        sa.Column("resolved_by", sa.Text()),
    ):
        op.add_column("tool_calls", column)
    op.execute("UPDATE tool_calls SET step = 0 WHERE step IS NULL")
    with op.batch_alter_table("tool_calls") as calls:
        for name in ("version", "effect", "risk"):
            calls.alter_column(name, server_default=None)
        calls.alter_column("step", nullable=False)
        for name in ("duration_ms", "started_at", "finished_at"):
            calls.alter_column(name, nullable=True)


def _unmake_journal() -> None:
    op.execute(_FORGET_OPEN_CALLS)
    op.execute(_END_CALLS_AS_0002_KNOWS)
    with op.batch_alter_table("tool_calls") as calls:
        for name in ("duration_ms", "started_at", "finished_at"):
            calls.alter_column(name, nullable=False)
        calls.alter_column("step", nullable=True)
        for name in _JOURNAL_COLUMNS:
            calls.drop_column(name)


def _create_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("call_position", sa.Integer(), nullable=False),
        sa.Column("tool_call_id", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("tool_version", sa.Text(), nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("risk", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text()),
        sa.Column("decided_by", sa.Text()),
        sa.Column("comment", sa.Text()),
        sa.Column("requested_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("decided_at", _MOMENT),
        sa.Column("paused_attempt", sa.Integer(), nullable=False),
        sa.Column("paused_seq", sa.Integer(), nullable=False),
        sa.Column("password_expires_at", _MOMENT),
        sa.Column("password_tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "run_id"],
            ["runs.tenant_id", "runs.id"],
            name="fk_approvals_tenant_id_run_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_approvals"),
    )
    op.create_index("uq_approvals_id", "approvals", ["id"], unique=True)
    op.create_index("ix_approvals_run", "approvals", ["tenant_id", "run_id", "call_position"])
    _create_partial_index("ix_approvals_pending", "approvals", ["tenant_id", "id"], _PENDING)
    _create_partial_index("ix_approvals_expiry", "approvals", ["expires_at"], _PENDING)
    _create_partial_index("ix_approvals_password", "approvals", ["password_expires_at"], _AWAITED)


def _create_conversation_grants() -> None:
    op.create_table(
        "conversation_grants",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("approval_id", sa.Uuid(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("tool_version", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("risk", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "conversation_id"],
            ["conversations.tenant_id", "conversations.id"],
            name="fk_conversation_grants_tenant_id_conversation_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_conversation_grants"),
    )
    op.create_index(
        "ix_conversation_grants_conversation", "conversation_grants", ["tenant_id", "conversation_id", "id"]
    )


def _create_audit_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "seq", name="pk_audit_entries"),
    )
    op.create_index("ix_audit_entries_action", "audit_entries", ["tenant_id", "action", "seq"])
    op.create_index("ix_audit_entries_object", "audit_entries", ["tenant_id", "object_type", "object_id", "seq"])
    op.create_index("ix_audit_entries_at", "audit_entries", ["tenant_id", "at"])
    for statement in _POSTGRESQL_TRIGGERS if _is_postgresql() else _SQLITE_TRIGGERS:
        op.execute(statement)


def _create_audit_heads() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_audit_heads"),
    )


def _create_shop() -> None:
    op.create_table(
        "shop_orders",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("discount_percent", sa.Integer(), nullable=False),
        sa.Column("carrier", sa.Text()),
        sa.Column("tracking_number", sa.Text()),
        sa.Column("expected_at", _MOMENT),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_shop_orders_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_shop_orders"),
    )
    op.create_table(
        "shop_coupons",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("discount_percent", sa.Integer(), nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_shop_coupons_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "code", name="pk_shop_coupons"),
    )
    op.create_table(
        "shop_actions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_shop_actions_tenant_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "key", name="pk_shop_actions"),
    )


def _create_partial_index(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
