"""Alembic migrations of the review database; ``store.ReviewStore.open`` runs them."""
