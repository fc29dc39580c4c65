"""Runs that wait, resume, are cancelled and pruned; checkpoints; idempotency records.

Revision: 0002
Follows: 0001

Going down removes what 0001 has no place for: runs that never started are deleted and their messages cancelled, as are
messages that no run took; checkpoints, receipts and idempotency records are lost. Stored events of the kinds that came
with this version cannot be read by the one before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ACTIVE = sa.text("status IN ('queued', 'running', 'waiting')")
_STARTED = sa.text("status IN ('running', 'waiting')")
_RUNNING = sa.text("status = 'running'")
_QUEUED = sa.text("status = 'queued'")
_PRUNABLE = sa.text("finished_at IS NOT NULL AND pruned_at IS NULL")
_PENDING = sa.text("status = 'pending'")

_REQUIRED = ("position", "is_urgent", "options", "appended")
_OPTIONAL = ("ordinal", "cancel_requested_at", "receipt", "started_at", "pruned_at")

_FILL_RUNS = """
UPDATE runs SET
    position = coalesce(found.position, 0),
    ordinal = CASE WHEN runs.status = 'queued' THEN NULL ELSE found.place END,
    started_at = CASE WHEN runs.status = 'queued' THEN NULL ELSE runs.created_at END,
    is_urgent = false,
    options = '{}',
    appended = 0
FROM (
    SELECT r.tenant_id, r.id, m.position, row_number() OVER (
        PARTITION BY r.tenant_id, r.conversation_id, r.status = 'queued' ORDER BY r.id
    ) AS place
    FROM runs AS r
    LEFT JOIN messages AS m ON m.tenant_id = r.tenant_id AND m.id = r.user_message_id
) AS found
WHERE found.tenant_id = runs.tenant_id AND found.id = runs.id
"""

_DELETE_EVENTS_OF_QUEUED = """
DELETE FROM run_events WHERE EXISTS (
    SELECT 1 FROM runs
    WHERE runs.tenant_id = run_events.tenant_id AND runs.id = run_events.run_id AND runs.status = 'queued'
)
"""


def upgrade() -> None:
    _drop_run_indexes("uq_runs_active", "ix_runs_employee_active", "ix_runs_lease")
    _add_run_columns()
    op.execute(_FILL_RUNS)
    with op.batch_alter_table("runs") as runs:
        for name in _REQUIRED:
            runs.alter_column(name, nullable=False)
    _create_run_indexes(active=_STARTED, leased=_RUNNING)
    op.create_index("uq_runs_ordinal", "runs", ["tenant_id", "conversation_id", "ordinal"], unique=True)
    _create_partial_index("ix_runs_queued", "runs", ["tenant_id", "conversation_id"], _QUEUED)
    _create_partial_index("ix_runs_prunable", "runs", ["finished_at"], _PRUNABLE)
    _create_partial_index("ix_messages_pending", "messages", ["tenant_id", "run_id"], _PENDING)
    _create_checkpoints()
    _create_idempotency_records()


def downgrade() -> None:
    op.drop_table("idempotency_records")
    op.drop_table("checkpoints")
    op.drop_index("ix_messages_pending", "messages")
    _drop_run_indexes(
        "uq_runs_active",
        "ix_runs_employee_active",
        "ix_runs_lease",
        "uq_runs_ordinal",
        "ix_runs_queued",
        "ix_runs_prunable",
    )
    # Not left to the cascade, which SQLite does not follow while tables are being rebuilt.
    op.execute(_DELETE_EVENTS_OF_QUEUED)
    op.execute("DELETE FROM runs WHERE status = 'queued'")
    op.execute("UPDATE messages SET status = 'cancelled' WHERE status = 'pending'")
    with op.batch_alter_table("runs") as runs:
        for name in (*_REQUIRED, *_OPTIONAL):
            runs.drop_column(name)
    _create_run_indexes(active=_ACTIVE, leased=_ACTIVE)


def _add_run_columns() -> None:
    for column in (
        sa.Column("position", sa.Integer()),
        sa.Column("is_urgent", sa.Boolean()),
        sa.Column("ordinal", sa.Integer()),
        sa.Column("options", sa.JSON()),
        sa.Column("appended", sa.Integer()),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True)),
        sa.Column("receipt", sa.JSON()),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("pruned_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("runs", column)


def _create_run_indexes(*, active: sa.TextClause, leased: sa.TextClause) -> None:
    """Those that have another condition in 0001."""
    _create_partial_index("uq_runs_active", "runs", ["tenant_id", "conversation_id"], active, unique=True)
    _create_partial_index("ix_runs_employee_active", "runs", ["tenant_id", "employee_id"], active)
    _create_partial_index("ix_runs_lease", "runs", ["lease_expires_at"], leased)


def _drop_run_indexes(*names: str) -> None:
    for name in names:
        op.drop_index(name, "runs")


def _create_partial_index(
    name: str, table: str, columns: list[str], where: sa.TextClause, *, unique: bool = False
) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("turns", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "run_id"],
            ["runs.tenant_id", "runs.id"],
            name="fk_checkpoints_tenant_id_run_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", "step", name="pk_checkpoints"),
    )


def _create_idempotency_records() -> None:
    op.create_table(
        "idempotency_records",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid()),
        sa.Column("answer", sa.LargeBinary()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "route", "key", name="pk_idempotency_records"),
    )
    op.create_index("ix_idempotency_records_expiry", "idempotency_records", ["expires_at"])
