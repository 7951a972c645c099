"""Decisions (append-only) and claims (who is looking at what, until when)."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "decisions",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("time", sa.String(40), nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("sample_id", sa.Text, nullable=False),
        sa.Column("content_id", sa.String(64), nullable=False, index=True),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("old_label", sa.Text, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("new_label", sa.Text),
        sa.Column("soft", sa.JSON),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("shown", sa.JSON, nullable=False),
        sa.Column("undoes", sa.String(64), sa.ForeignKey("decisions.id"), unique=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "claims",
        sa.Column("content_id", sa.String(64), primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("expires", sa.Float(53), nullable=False),
    )


def downgrade() -> None:
    """Decisions are never dropped by a program."""
    raise RuntimeError("The review database is append-only; restore an older one from a backup instead.")
