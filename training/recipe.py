"""Recipe: everything that a training is told, read from a TOML file and checked field by field."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from faces.errors import InputError

FOLDER = Path(__file__).parent / "recipes"
MOST_TILTED = 45
"""Degrees that images may be turned by at test time."""
CLOSEST = 2.0
"""Times that the middle of images may be enlarged at test time."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """A table of the recipe: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(Part):
    """``network`` is a catalogue name, with ``@SIDE`` after it where it is to enlarge images to that side itself;
    ``size`` is the side in pixels that they come in, ``channels`` 1 (grey) or 3 (RGB).

    ``pretrained`` is a weights file, ``"timm"`` for timm's download, or a checkpoint folder or the name of one that
    ships, of the same network, whose classes are kept by name; ``members`` such networks, each from its own
    seed, are trained and fused into one, and with them the networks of the recipes named in ``beside``, each trained as
    its recipe says, but on this one's data and at this one's size; ``mirrored`` makes the trained network look at every
    image both ways round, which takes it twice as long, and with ``tilted`` also that many degrees to either side (six
    times), with ``closer`` also at its middle, that many times as large (twice more); ``frozen`` is the share of the
    layers, from the input on, that stay as they are (1: all but the head); ``input_rate`` is the first layer's rate as
    a share of the head's, with a geometric fall between (1: one rate).
    """

    network: str
    size: Annotated[int, Field(ge=16, le=512)] = 48
    channels: Literal[1, 3] = 1
    pretrained: str | None = None
    members: Annotated[int, Field(ge=1, le=32)] = 1
    beside: tuple[str, ...] = ()
    mirrored: bool = False
    tilted: Annotated[float, Field(ge=0, le=MOST_TILTED)] = 0.0
    closer: Annotated[float, Field(ge=1, le=CLOSEST)] = 1.0
    frozen: Share = 0.0
    input_rate: Annotated[float, Field(gt=0, le=1)] = 1.0


class Data(Part):
    """Which images are learnt from, and how often each.

    ``validation`` is the share of the training part that epochs are chosen by; ``classes`` keeps only these;
    ``rename`` maps labels as the data has them to others (``""`` drops them); ``oversample`` evens the classes out:
    0 draws every image once an epoch, 1 every class as often as any other, each copy augmented anew;
    ``balance_groups`` names an attribute (a column of the data) whose groups are drawn so that label and group are
    independent, which is the reweighing of Kamiran and Calders (2012), with ``balance_by`` "loss" weighed in the loss
    instead; ``repeats`` makes ``--folds K`` repeated.
    """

    split: str = "train"
    test_split: str = "test"
    validation: Annotated[float, Field(gt=0, le=0.5)] = 0.08
    classes: tuple[str, ...] | None = None
    rename: dict[str, str] = {}
    oversample: Share = 0.0
    balance_groups: str | None = None
    balance_by: Literal["sampling", "loss"] = "sampling"
    repeats: Annotated[int, Field(ge=1, le=100)] = 1


class Augment(Part):
    """See training.augment.Augmentation; ``mixup`` and ``cutmix`` are Beta parameters, 0 is off."""

    flip: Share = 0.5
    shift: Share = 0.0
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    erase: Share = 0.0
    erase_area: Share = 0.2
    mixup: NotNegative = 0.0
    cutmix: NotNegative = 0.0


class Learn(Part):
    """How weights are moved.

    ``minutes`` bounds the wall clock (0: no bound): where the machine is too slow for all ``epochs``, the schedule is
    run through faster and the training ends in time. ``warmup`` is the share of the training in which the rate
    rises; ``sizes`` are image sides in pixels, each used for an equal share (empty: the network's size throughout).
    ``average`` is the decay of the moving average of the weights, which is what is judged and kept (0: the weights
    themselves); ``patience`` is the number of epochs without a better validation accuracy after which training stops
    (0: never). ``teacher`` is a checkpoint folder, or the name of one that ships, whose answers on the training images
    are learnt beside the labels (Hinton et al. 2015), with weight ``teacher_share`` of 1; it should have held out the
    same images (``data.validation``), else epochs are chosen by images that the teacher knows. ``votes_share`` of 1 is
    how much raters' votes (the data's columns ``votes_*``) weigh in the loss, told by outputs of their own that the
    finished network has no more: they shape its features and leave its classes to the labels. ``calibrate`` divides
    the finished network's logits by one temperature, fitted on the held-out share (Guo et al. 2017). ``devices`` is how
    many GPUs (without one: processes) share every batch, and ``precision`` what they compute in; both are Lightning's
    own switches.
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    minutes: NotNegative = 0.0
    batch: Annotated[int, Field(ge=2, le=65_536)] = 128
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["onecycle", "cosine", "constant"] = "onecycle"
    rate: Positive = 4e-3
    weight_decay: NotNegative = 0.02
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.2
    clip: NotNegative = 5.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    class_weights: Literal["none", "balanced", "effective"] = "none"
    teacher: str | None = None
    teacher_share: Share = 0.5
    votes_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    calibrate: bool = False
    average: Annotated[float, Field(ge=0, lt=1)] = 0.998
    patience: Annotated[int, Field(ge=0)] = 0
    sizes: tuple[Annotated[int, Field(ge=16, le=512)], ...] = ()
    seed: Annotated[int, Field(ge=0)] = 0
    devices: Annotated[int, Field(ge=1, le=64)] = 1
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"


class Recipe(Part):
    """A whole recipe. ``summary`` is one line for people."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    summary: str = ""
    model: Network
    data: Data = Data()
    augment: Augment = Augment()
    learn: Learn = Learn()

    def told(self, learn: dict[str, Any]) -> Recipe:
        """The recipe with fields of ``learn`` changed. Raises InputError naming the first that is wrong."""
        try:
            return self.model_copy(update={"learn": Learn.model_validate({**self.learn.model_dump(), **learn})})
        except ValidationError as reason:
            raise InputError(f"The training {_first(reason)}; pass another.") from reason

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.learn.sizes and self.learn.sizes[-1] != self.model.size:
            raise ValueError(
                f"learn.sizes = {list(self.learn.sizes)} must end with model.size, which is {self.model.size}"
            )
        for field, plain in (("tilted", 0.0), ("closer", 1.0)):
            if getattr(self.model, field) != plain and not self.model.mirrored:
                raise ValueError(f"model.{field} = {getattr(self.model, field):g} needs model.mirrored = true")
        return self


def recipe_names() -> tuple[str, ...]:
    """The recipes that ship."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or a TOML file. Raises InputError naming the file and the first failing field."""
    file = Path(name_or_path)
    if file.suffix != ".toml":
        file = FOLDER / f"{name_or_path}.toml"
    if not file.is_file():
        raise InputError(
            f"The recipe {str(name_or_path)!r} is not there; the shipped ones are {', '.join(recipe_names())}: "
            "name one of them or give a .toml file."
        )
    try:
        return Recipe.model_validate({"name": _name_of(file), **tomllib.loads(file.read_text(encoding="utf-8"))})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise InputError(f"The recipe {file} is not TOML ({reason}); correct that line.") from reason
    except ValidationError as reason:
        raise InputError(f"The recipe {file} {_first(reason)}; correct it.") from reason


def _name_of(file: Path) -> str:
    """A name for a recipe that tells none, of its file's: ``my_recipe (1).toml`` is my-recipe-1."""
    return re.sub(r"[^a-z0-9.]+", "-", file.stem.lower()).strip("-.") or "recipe"


def _first(reason: ValidationError) -> str:
    """The first failing field in words: its own value alone, never the whole recipe."""
    first = reason.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"has no {field}, which is needed"
    if first["type"] == "extra_forbidden":
        return f"has {field} = {first['input']!r}, which is no field of a recipe"
    if not field:
        return f"does not fit together: {first['ctx']['error']}"
    return f"has {field} = {first['input']!r}, which is wrong ({first['msg'].lower()})"
