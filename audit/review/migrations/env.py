"""Alembic runs this; the connection, inside its transaction, comes from ``store.ReviewStore.open``."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
