"""What the model looked at."""

from __future__ import annotations

from audit.run import AuditRun
from reports.document import Chapter, Paragraph

TITLE = "What the model looks at"


def chapter(run: AuditRun) -> Chapter:
    """Mean maps of each class, where the run has maps."""
    if not run.saliency_methods:
        reason = "Could not be checked, because the run stores no saliency maps."
        return Chapter("saliency", TITLE, (Paragraph(reason),))
    return Chapter("saliency", TITLE, ())
