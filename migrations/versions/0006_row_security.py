"""Row level security (PostgreSQL).

Revision: 0006
Follows: 0005

From here on, `retinue migrate` leaves the tables to the roles of its settings, and to nobody else, whenever the schema
is at its newest: see `retinue.db.row_security`. It is not done here, because it has to be done for the tables of every
later migration, too, and again when the settings name other roles.

Going down takes it all off: the versions before connect as the owner of the tables. The roles themselves stay.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SECURED = sa.text("""
SELECT relname FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relrowsecurity
""")
_OURS = sa.text("""
SELECT tablename, policyname FROM pg_policies
WHERE schemaname = current_schema() AND starts_with(policyname, 'retinue_')
""")
_SERVING = sa.text("""
SELECT DISTINCT quote_ident(role) FROM pg_policies, unnest(roles) role
WHERE schemaname = current_schema() AND policyname IN ('retinue_app', 'retinue_jobs') AND role <> 'public'
""")


def upgrade() -> None:
    """Nothing that depends on this version alone."""


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    for role in connection.scalars(_SERVING).all():
        op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA {_schema(connection)} FROM {role}")
    for table, policy in connection.execute(_OURS).all():
        op.execute(f'DROP POLICY "{policy}" ON "{table}"')
    for table in connection.scalars(_SECURED).all():
        op.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY')


def _schema(connection: sa.Connection) -> str:
    return str(connection.scalar(sa.text("SELECT quote_ident(current_schema())")))
