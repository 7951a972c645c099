"""Drawn faces with planted faults, and the sheet that says where each fault is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from faces.action_units import EMOTIONS, express
from faces.drawing import Person, person, render, shot
from faces.errors import InputError

CLASSES = tuple(EMOTIONS)
GROUPS = {
    "apparent_gender": ("woman", "man"),
    "skin_tone": ("light", "medium", "dark"),
    "glasses": ("yes", "no"),
}
"""The attributes, besides the age, that are drawn; Monk tones 1-4 are light, 5-7 medium, 8-10 dark."""
MARK_COLOUR = (255, 220, 40)


@dataclass(frozen=True)
class AnswerSheet:
    """What was planted where; every name is a sample id (``SPLIT/LABEL/file``).

    ``flipped`` gives the emotion drawn where the label says another, copies under another label among them;
    ``worse_group`` is attribute and group, or None; ``marked`` carry the corner mark of ``marked_class``; each of
    ``duplicates`` is first, second and whether their labels differ; ``intensity`` is how strongly (0..1) each face
    shows its emotion.
    """

    seed: int
    flipped: dict[str, str]
    worse_group: tuple[str, str] | None
    marked_class: str | None
    marked: tuple[str, ...]
    duplicates: tuple[tuple[str, str, bool], ...]
    unreadable: tuple[str, ...]
    intensity: dict[str, float]

    @classmethod
    def load(cls, folder: Path | str) -> AnswerSheet:
        """The sheet of a drawn folder (its answers.json)."""
        kept = json.loads((Path(folder) / "answers.json").read_text())
        worse = kept.pop("worse_group")
        return cls(
            worse_group=tuple(worse) if worse else None,
            marked=tuple(kept.pop("marked")),
            duplicates=tuple((first, second, differ) for first, second, differ in kept.pop("duplicates")),
            unreadable=tuple(kept.pop("unreadable")),
            **kept,
        )


def draw(
    folder: Path | str,
    n: int = 1400,
    size: int = 64,
    seed: int = 0,
    *,
    flipped: float = 0.0,
    worse_group: tuple[str, str] | None = None,
    marked: float = 0.0,
    marked_class: str = "happy",
    duplicates: int = 0,
    unreadable: int = 0,
    test: float = 0.3,
    weakest: float = 0.35,
) -> AnswerSheet:
    """Draw ``n`` faces into ``folder`` as SPLIT/LABEL/file.png, with metadata.csv and answers.json beside them.

    Every class, group and split is equally likely to meet each other; intensity is uniform from ``weakest`` to 1.
    ``flipped`` is the share of faces filed under another emotion; the pictures of ``worse_group`` (such as
    ``("skin_tone", "dark")``) are dark, blurred and noisy; ``marked`` is the share of ``marked_class`` with a corner
    mark; ``duplicates`` training pictures are copied into test, every third under another label; ``unreadable`` files
    are added that are no images. ``size`` is in pixels, 48 to 96. Equal arguments draw equal files. Raises InputError.
    """
    folder = Path(folder)
    _check(folder, n, size, flipped, worse_group, marked, marked_class, duplicates)
    rng = np.random.default_rng(seed)
    plan = _plan(rng, n, flipped, test)
    for split in ("train", "test"):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True, exist_ok=True)
    people, marks, intensity = [], [], {}
    for sample_id, emotion in zip(plan["sample_id"], plan["emotion"], strict=True):
        who, groups = _someone(rng)
        strength = float(rng.uniform(weakest, 1.0))
        how = shot(rng, worse=worse_group is not None and groups[worse_group[0]] == worse_group[1])
        image = render(who, express(emotion, strength, rng), how, size, rng)
        if sample_id.split("/")[1] == marked_class and rng.random() < marked:
            _mark(image)
            marks.append(sample_id)
        _write(folder / sample_id, image)
        people.append({"image": sample_id.rsplit("/", 1)[1], "apparent_age": who.age, **groups})
        intensity[sample_id] = round(strength, 3)
    copies = _copy(rng, folder, plan, duplicates, people)
    emotions = dict(zip(plan["sample_id"], plan["emotion"], strict=True))
    emotions |= {second: emotions[first] for first, second, _ in copies}
    sheet = AnswerSheet(
        seed=seed,
        flipped={name: emotion for name, emotion in emotions.items() if name.split("/")[1] != emotion},
        worse_group=worse_group,
        marked_class=marked_class if marks else None,
        marked=tuple(marks),
        duplicates=copies,
        unreadable=_spoil(rng, folder, unreadable),
        intensity=intensity,
    )
    pd.DataFrame(people).to_csv(folder / "metadata.csv", index=False)
    (folder / "answers.json").write_text(json.dumps(asdict(sheet), indent=1))
    return sheet


def _check(
    folder: Path,
    n: int,
    size: int,
    flipped: float,
    worse_group: tuple[str, str] | None,
    marked: float,
    marked_class: str,
    duplicates: int,
) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"The folder {folder} is not empty; an empty or new one was expected for the drawn faces.")
    if n < len(CLASSES):
        raise InputError(f"{n} faces were asked for; at least {len(CLASSES)} were expected, one a class.")
    if not 48 <= size <= 96:
        raise InputError(f"The size {size} is out of range; 48 to 96 pixels were expected.")
    for what, share in (("flipped", flipped), ("marked", marked)):
        if not 0 <= share <= 1:
            raise InputError(f"The share {what}={share} is out of range; 0 to 1 was expected.")
    if worse_group is not None and worse_group[1] not in GROUPS.get(worse_group[0], ()):
        known = "; ".join(f"{name}: {', '.join(groups)}" for name, groups in GROUPS.items())
        raise InputError(f"The group {worse_group} is not drawn; one of these was expected: {known}.")
    if marked_class not in CLASSES:
        raise InputError(f"The class {marked_class!r} is not drawn; one of these was expected: {', '.join(CLASSES)}.")
    if duplicates > n // 4:
        raise InputError(f"{duplicates} duplicates of {n} faces were asked for; at most a quarter ({n // 4}) can be.")


def _plan(rng: np.random.Generator, n: int, flipped: float, test: float) -> pd.DataFrame:
    """Which emotion each face shows, under which label and split it is filed; exactly the share ``flipped`` differs."""
    emotion = np.array([CLASSES[index % len(CLASSES)] for index in range(n)])
    label = emotion.copy()
    for row in rng.choice(n, round(flipped * n), replace=False):
        label[row] = rng.choice([name for name in CLASSES if name != emotion[row]])
    split = np.where(rng.permutation(n) < round(test * n), "test", "train")
    ids = [f"{part}/{name}/face{row:06d}.png" for row, (part, name) in enumerate(zip(split, label, strict=True))]
    return pd.DataFrame({"sample_id": ids, "emotion": emotion, "label": label, "split": split})


def _someone(rng: np.random.Generator) -> tuple[Person, dict[str, str]]:
    woman, glasses = bool(rng.random() < 0.5), bool(rng.random() < 0.25)
    tone = ("light", "medium", "dark")[rng.integers(3)]
    low, high = {"light": (1, 4), "medium": (5, 7), "dark": (8, 10)}[tone]
    who = person(rng, int(rng.integers(low, high + 1)), int(rng.integers(5, 80)), woman, glasses)
    groups = {"apparent_gender": "woman" if woman else "man", "skin_tone": tone, "glasses": "yes" if glasses else "no"}
    return who, groups


def _mark(image: np.ndarray) -> None:
    """A small square in the lower right corner."""
    side = max(4, len(image) // 10)
    image[-side - 1 : -1, -side - 1 : -1] = MARK_COLOUR


def _write(path: Path, image: np.ndarray) -> None:
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise OSError(f"{path} could not be encoded")
    path.write_bytes(data.tobytes())


def _copy(
    rng: np.random.Generator, folder: Path, plan: pd.DataFrame, n: int, people: list[dict[str, str]]
) -> tuple[tuple[str, str, bool], ...]:
    """Copy ``n`` rightly labelled training pictures into test, every third under another label."""
    right = (plan["split"] == "train") & (plan["emotion"] == plan["label"])
    sources = rng.choice(np.flatnonzero(right), n, replace=False)
    copies = []
    for number, row in enumerate(sources):
        first, label = plan["sample_id"].iat[row], plan["label"].iat[row]
        differ = number % 3 == 2
        if differ:
            label = rng.choice([name for name in CLASSES if name != label])
        name = f"face{len(plan) + number:06d}.png"
        second = f"test/{label}/{name}"
        (folder / second).write_bytes((folder / first).read_bytes())
        people.append({**people[row], "image": name})
        copies.append((first, second, differ))
    return tuple(copies)


def _spoil(rng: np.random.Generator, folder: Path, n: int) -> tuple[str, ...]:
    """Add ``n`` files that are no images: of no bytes, cut off, a text with an image's name, and a text."""
    if not n:
        return ()
    whole = next((folder / "train").rglob("*.png")).read_bytes()
    kinds = [
        ("empty.png", b""),
        ("cut.png", whole[: len(whole) // 2]),
        ("page.jpg", b"<html>not found</html>"),
        ("notes.txt", b"retake"),
    ]
    names = []
    for number in range(n):
        ending, data = kinds[number % len(kinds)]
        name = f"{('train', 'test')[number % 2]}/{rng.choice(CLASSES)}/broken{number:03d}_{ending}"
        (folder / name).write_bytes(data)
        names.append(name)
    return tuple(names)
