"""What this report cannot tell, and what such a model must not be used for."""

from __future__ import annotations

from audit.run import AuditRun
from reports.document import Block, Bullets, Chapter, Paragraph, table
from reports.words import listed, spaced, whole

APPARENT = "apparent"


def chapter(run: AuditRun) -> Chapter:
    """Limits of the figures: guessed attributes, small groups, noisy labels, one data set."""
    items = []
    guessed = [spaced(name) for name in run.attributes if name.startswith(APPARENT)]
    if guessed:
        items.append(
            f"{listed(guessed).capitalize()} were guessed from the pictures by a program or an onlooker; nobody asked "
            "the people. Such guesses err, and err more for some groups than for others. Errors mix the groups, which "
            "mostly makes gaps look smaller than they are, and no interval here takes them into account."
        )
    if run.attributes:
        items.append(
            "Groups are crude: they say nothing about people within them, and attributes that were not recorded were "
            "not looked at."
        )
    items += [
        "Labels are what annotators saw in a face, not what a person felt. Faces do not show emotions reliably, and "
        "how they are read differs between cultures and situations (Barrett et al., 2019). A correct prediction here "
        "means agreement with the label, no more.",
        "Labels err (see label quality), and the model may have learned the same errors from its training data.",
        "Figures describe these images. Cameras, light, poses and people elsewhere differ; a model that passes here "
        "may fail there.",
        "A finding that is not there is no proof of absence: it may be that too few images could show it. The column "
        "'smallest gap' in the tables of gaps says what could have been seen.",
        "Findings marked 'unchecked' are open questions, not passes.",
    ]
    blocks: list[Block] = [Bullets(tuple(items)), *_small_groups(run)]
    return Chapter("limits", "Limits", tuple(blocks))


def _small_groups(run: AuditRun) -> list[Block]:
    groups = run.table("groups")
    small = groups[groups["too_small"]]
    if small.empty:
        return []
    rows = [[spaced(row["attribute"]), row["group"], whole(row["n"])] for row in small.to_dict("records")]
    heads = ["attribute", "group", "#images"]
    return [table("Groups too small to judge", heads, rows)]


def uses() -> Chapter:
    """Uses that the law prohibits or calls high-risk; the same in every report."""
    return Chapter(
        "uses",
        "Prohibited and high-risk uses",
        (
            Paragraph(
                "This report does not make any use of the model lawful or right. It is no legal advice. In the "
                "European Union, Regulation (EU) 2024/1689 (AI Act) says of systems that infer emotions from faces:"
            ),
            Bullets(
                (
                    "Prohibited, Article 5(1)(f): inferring emotions of a natural person in the areas of workplace and "
                    "education institutions, except where the system is intended for medical or safety reasons. This "
                    "covers job interviews, monitoring of staff, call centres, proctoring and attention in class.",
                    "High-risk, Article 6(2) with Annex III, point 1(c): AI systems intended to be used for emotion "
                    "recognition, where not prohibited. Risk management, data governance, documentation, human "
                    "oversight and accuracy duties follow (Articles 8 to 15), and registration (Article 49).",
                    "Transparency, Article 50(3): people exposed to an emotion recognition system must be told, and "
                    "their data handled under the GDPR. Images of faces processed to identify a person are biometric "
                    "data in the sense of its Article 9.",
                )
            ),
            Paragraph(
                "Elsewhere other rules apply, among them biometric privacy law such as Illinois' BIPA and, for "
                "automated employment decision tools, New York City's Local Law 144 with its yearly bias audit. "
                "Whatever the law allows: do not use such a model to judge a person's honesty, suitability, "
                "health, guilt or intent."
            ),
        ),
    )
