"""Called by alembic; `retinue.db.migrations` starts it and hands over a connection whose transaction has begun."""

from alembic import context

from retinue.db.tables import Base


def migrate() -> None:
    attributes = context.config.attributes
    if "connection" not in attributes:
        raise RuntimeError("run `retinue migrate`: migrations need the settings of Retinue's own connections")
    context.configure(connection=attributes["connection"], target_metadata=Base.metadata, **attributes["options"])
    with context.begin_transaction():
        context.run_migrations()


migrate()
