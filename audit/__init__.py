"""Faces x classifier -> AuditRun.

``from audit import audit`` runs an audit; everything else here reads finished runs and needs no torch, which is why
``audit`` is only looked up when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.engine import audit as audit
    from audit.options import AuditOptions as AuditOptions
    from audit.run import AuditRun as AuditRun

__all__ = ["AuditOptions", "AuditRun", "audit"]

_HOMES = {"audit": "audit.engine", "AuditOptions": "audit.options", "AuditRun": "audit.run"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'audit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
