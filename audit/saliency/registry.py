"""Every saliency method by name: what it is called, where it comes from and how it is had. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from faces.errors import InputError


@dataclass(frozen=True)
class Method:
    """One saliency method.

    ``stored`` methods come out of the audit's one pass; the others are computed for a chosen sample. ``linear`` ones
    are linear in the target and kept for all classes, so that any contrast is a subtraction. ``function`` names its
    code as ``module:function`` in this package; ``source`` is the paper. ``needs`` is ``layer`` (hooks and gradients),
    ``gradient`` (of the input) or ``outputs`` (nothing but running the model). ``signed`` maps have a meaning below
    zero. ``targeted`` is False where the map is the same whatever the class.
    """

    name: str
    title: str
    function: str
    source: str
    needs: str = "layer"
    stored: bool = False
    linear: bool = False
    signed: bool = True
    targeted: bool = True


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("gradcam", "Grad-CAM", "cam:gradcam", "Selvaraju et al. 2017", stored=True, linear=True),
        Method("xgradcam", "XGrad-CAM", "cam:xgradcam", "Fu et al. 2020", stored=True, linear=True),
        Method("hirescam", "HiResCAM", "cam:hirescam", "Draelos and Carin 2020", stored=True, linear=True),
        Method("gradcam_plusplus", "Grad-CAM++", "cam:gradcam_plusplus", "Chattopadhay et al. 2018", stored=True),
        Method("layercam", "LayerCAM", "cam:layercam", "Jiang et al. 2021", stored=True),
        Method("eigencam", "Eigen-CAM", "activation:eigencam", "Muhammad and Yeasin 2020", targeted=False),
        Method("scorecam", "Score-CAM", "activation:scorecam", "Wang et al. 2020"),
        Method("ablationcam", "Ablation-CAM", "activation:ablationcam", "Desai and Ramaswamy 2020"),
        Method(
            "integrated_gradients",
            "Integrated Gradients",
            "attribution:integrated_gradients",
            "Sundararajan et al. 2017",
            "gradient",
        ),
        Method("smoothgrad", "SmoothGrad", "attribution:smoothgrad", "Smilkov et al. 2017", "gradient"),
        Method("gradientshap", "GradientSHAP", "attribution:gradientshap", "Lundberg and Lee 2017", "gradient"),
        Method("guided_gradcam", "Guided Grad-CAM", "attribution:guided_gradcam", "Selvaraju et al. 2017"),
        Method("occlusion", "Occlusion", "attribution:occlusion", "Zeiler and Fergus 2014", "outputs"),
        Method("rise", "RISE", "rise:rise", "Petsiuk et al. 2018", "outputs"),
    )
}

STORED: tuple[str, ...] = tuple(name for name, method in METHODS.items() if method.stored)
ON_DEMAND: tuple[str, ...] = tuple(name for name, method in METHODS.items() if not method.stored)
MOST_TARGETS = 10
"""Up to so many classes a linear method's maps are kept for all of them; beyond, for two targets a sample."""
TWO_TARGETS = ("predicted", "alternative")
"""The targets of methods that are not kept for all classes; the alternative is the label, or the runner-up where
the label was predicted or is not known."""
MINUS = "-minus-"
"""Between two classes: the target ``sad-minus-neutral`` is what speaks for sad rather than neutral."""


def method(name: str) -> Method:
    """Raises InputError naming the methods there are."""
    if name not in METHODS:
        raise InputError(f"The saliency method {name!r} is not one of {', '.join(METHODS)}; use one of those names.")
    return METHODS[name]


def targets_of(name: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    """What the target axis of a stored method's maps holds, in order."""
    return classes if method(name).linear and len(classes) <= MOST_TARGETS else TWO_TARGETS


def available(has_layer: bool) -> tuple[str, ...]:
    """Names of the methods that can be had for a classifier, by whether it has a CAM layer."""
    return tuple(name for name, found in METHODS.items() if has_layer or found.needs != "layer")
