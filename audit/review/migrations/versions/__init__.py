"""One file a schema change; the newest is the head."""
