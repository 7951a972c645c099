"""Other people's classifiers as they come: inputs with a mean and deviation, odd networks, odd files of weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from audit.scoring import score
from faces.errors import InputError
from models import probe
from models.camlayer import find_cam_layer
from models.classifier import IMAGENET, Classifier, Preprocessing
from models.inspect_model import inspect_model
from models.load import load_classifier
from models.outputs import output_of
from models.statedict import unwrap

CLASSES = "angry,disgust,fear,happy,sad,surprise,neutral"
INPUT = "48x48,gray,0..1"
CODE = """
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, channels=1, outputs=7):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(channels, 6, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(6, outputs)

    def forward(self, x):
        return self.head(self.features(x).mean(dim=(2, 3)))

class Repeats(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net(3)
    def forward(self, x):
        return self.net(x.repeat(1, 3, 1, 1))

class Attends(Net):
    def __init__(self):
        nn.Module.__init__(self)
        self.attention = nn.Conv2d(2, 1, 7, padding=3)
        self.net = Net()
    def forward(self, x):
        f = self.net.features(x)
        a = self.attention(torch.stack([f.mean(1), f.amax(1)], 1)).sigmoid()
        return self.net.head((f * a).mean((2, 3)))

class NoGrad(Net):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)

class Inference(Net):
    @torch.inference_mode()
    def forward(self, x):
        return super().forward(x)

class Half(Net):
    def forward(self, x):
        return (super().forward(x) * 3).softmax(1).half().float()

class Halved(Net):
    def forward(self, x):
        return super().forward(x).half()

class One(Net):
    def __init__(self):
        super().__init__(1, 1)
        nn.init.constant_(self.head.weight, 0.1)
        nn.init.constant_(self.head.bias, 0.3)

class OneUnseen(One):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)

class OneWritesOver(One):
    def forward(self, x):
        x -= 0.5
        return super().forward(x).sigmoid().view(-1).clamp(1e-6, 1 - 1e-6)

class Squeezed(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.end = Net(1, 1), nn.Sigmoid()
    def forward(self, x):
        return self.end(self.net(x).squeeze(1))

class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(1, 3, 3), nn.LazyLinear(7)
    def forward(self, x):
        return self.head(self.convolution(x).flatten(1))

class OneByOne(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3 * 46 * 46, 7)
    def forward(self, x):
        return self.head(self.convolution(x).view(1, -1))

class Wide(Net):
    def forward(self, x):
        return super().forward(x)[:, :, None, None]

class Drops(Net):
    def forward(self, x):
        return self.head(F.dropout(self.features(x).mean(dim=(2, 3))))
"""


def written(folder: Path) -> Path:
    (folder / "build.py").write_text(CODE)
    return folder / "build.py"


def load(folder: Path, name: str, classes: str = CLASSES, given: str | None = INPUT, weights: str = "") -> Classifier:
    suffix = f"@{folder / weights}" if weights else ""
    return load_classifier(f"factory:{written(folder)}:{name}{suffix}", classes, given)


def built(name: str = "Net") -> nn.Module:
    space: dict = {}
    exec(CODE, space)
    return space[name]().eval()


@pytest.mark.parametrize(
    ("text", "mean", "std"),
    [
        ("32x24,rgb,0..1,imagenet", IMAGENET["mean"], IMAGENET["std"]),
        ("32x24,gray,0..1,imagenet", (0.449,), (0.226,)),
        ("32x24,rgb,0..1,0.5/0.25", (0.5,) * 3, (0.25,) * 3),
        ("32x24,rgb,0..255,129:105:94/1", (129.0, 105.0, 94.0), (1.0,) * 3),
        ("32x24,gray,-1..1", None, None),
    ],
)
def test_an_input_may_name_mean_and_deviation(text: str, mean: tuple | None, std: tuple | None) -> None:
    found = Preprocessing.parse(text)
    assert (found.mean is None) == (mean is None)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 24, found.channels), dtype=np.uint8)
    expected = pixels / 255.0 * (found.high - found.low) + found.low
    if mean is not None and std is not None:
        assert found.mean == pytest.approx(mean) and found.std == pytest.approx(std)
        expected = (expected - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(found.tensor(pixels).numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-4, atol=1e-5)
    assert Preprocessing.parse(found.as_input()) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("48x48,rgb,0..1,vgg", "is not understood; .* like 64x64,gray,-1..1 or 224x224,rgb,0..1,imagenet"),
        ("48x48,rgb,0..1,0.5", "is not understood"),
        ("48x48,rgb,0..1,0.5:0.5/1", "is not understood"),
        ("48x48,gray,0..1,0.1:0.2:0.3/1", "is not understood"),
        ("48x48,rgb,0..1,nan/1", "is not understood"),
        ("48x48,rgb,0..1,0.5/1,imagenet", "is not understood"),
        ("48x48,rgb,-1..1,imagenet", r"which are of values 0\.\.1, on -1\.\.1; write 48x48,rgb,0\.\.1,imagenet"),
        ("48x48,rgb,0..1,0.5/0", "divides by 0; deviations above 0"),
        ("48x48,gray,1..1", r"maps every pixel to 1; .*write it like 48x48,gray,0\.\.1"),
    ],
)
def test_scalings_that_mean_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Preprocessing.parse(text)


def test_an_input_means_what_it_says_and_timms_own_scaling_is_named(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet18", num_classes=7).state_dict(), tmp_path / "w.pth")

    def loaded(given: str | Preprocessing) -> tuple[Preprocessing, str]:
        found = load_classifier(f"timm:resnet18@{tmp_path}/w.pth", CLASSES, given)
        return found.preprocessing, " ".join(found.card["notes"])

    plain, note = loaded("64x64,rgb,0..1")
    assert plain.mean is None and "timm's own" in note and "64x64,rgb,0..1,imagenet takes that" in note
    own, note = loaded("64x64,rgb,0..1,imagenet")
    assert (own.mean, own.std, own.height) == (IMAGENET["mean"], IMAGENET["std"], 64)
    assert "scaling" not in note
    other, note = loaded("64x64,rgb,-1..1")
    assert other.mean is None and "timm's own" in note


def test_a_factory_can_be_given_a_scaling(tmp_path: Path) -> None:
    found = load(tmp_path, "Net", given="48x48,gray,0..1,0.5/0.25")
    pixels = probe.images(3, found.preprocessing)
    batch = torch.from_numpy((pixels / 255.0 - 0.5) / 0.25).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = built()(batch).softmax(1)
    np.testing.assert_allclose(score(found, pixels).probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["Repeats", "Attends"])
def test_the_first_convolution_does_not_decide_what_a_network_takes(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, name).preprocessing.channels == 1


def test_the_first_convolution_explains_what_fails(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"takes, which is 48x48 gray; pass --input 48x48,gray,0\.\.1,0\.449/0\.226"):
        load(tmp_path, "Net", given="48x48,rgb,0..1,imagenet")
    with pytest.raises(InputError, match="failed on an input"):
        load(tmp_path, "Attends", given="48x48,rgb,0..1")


class ChannelsLastInput(nn.Module):
    """Takes (N, h, w, 1), computes with channels first, as converters from TensorFlow write it."""

    def __init__(self, channels: int, convolves: bool) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, channels, 3, 2, 1) if convolves else nn.Identity()
        self.act = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.inner(x.permute(0, 3, 1, 2))).mean(dim=(2, 3))


@pytest.mark.parametrize("channels", [5, 6, 7])
def test_a_convolution_puts_channels_first_also_where_the_network_takes_them_last(channels: int) -> None:
    found = find_cam_layer(ChannelsLastInput(channels, True), torch.rand(2, 12, 12, 1))
    assert found == ("act", "nchw")


def test_a_softmax_in_half_precision_is_probabilities(tmp_path: Path) -> None:
    assert load(tmp_path, "Half").output == "probabilities"
    assert load(tmp_path, "Net").output == "logits"


def test_outputs_in_half_precision_are_made_whole(tmp_path: Path) -> None:
    found, plain = load(tmp_path, "Halved"), load(tmp_path, "Net")
    pixels = probe.images(3, found.preprocessing)
    np.testing.assert_allclose(score(found, pixels).probabilities, score(plain, pixels).probabilities, atol=1e-3)


def test_one_output_within_0_and_1_by_chance_is_no_sigmoid(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one output that is no probability \(no sigmoid ends the network\)"):
        load(tmp_path, "One", "sad,happy")
    with pytest.raises(InputError, match="no sigmoid ends the network"):
        load_classifier(scripted(built("One"), tmp_path / "net.pt"), "sad,happy", INPUT)


def test_one_sigmoid_that_is_reshaped_and_clipped_is_one(tmp_path: Path) -> None:
    found = load(tmp_path, "OneWritesOver", "sad,happy")
    assert found.output == "sigmoid" and "taken for a sigmoid" not in " ".join(found.card["notes"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = nn.Sequential(built("One"), nn.Sigmoid(), nn.Flatten(0)).eval()
        torch.jit.save(torch.jit.freeze(torch.jit.trace(network, torch.zeros(2, 1, 48, 48))), tmp_path / "net.pt")
    found = load_classifier(tmp_path / "net.pt", "sad,happy", INPUT)
    assert found.output == "sigmoid" and "taken for a sigmoid" not in " ".join(found.card["notes"])


def test_one_output_without_gradients_is_taken_for_a_sigmoid_and_told(tmp_path: Path) -> None:
    found = load(tmp_path, "OneUnseen", "sad,happy")
    assert found.output == "sigmoid" and "its one output is taken for a sigmoid" in " ".join(found.card["notes"])


@pytest.mark.parametrize("name", ["NoGrad", "Inference"])
def test_a_forward_without_gradients_leaves_black_box_methods(tmp_path: Path, name: str) -> None:
    found = load(tmp_path, name)
    assert found.cam_layer is None and "runs without gradients" in found.card["notes"][-1]
    looked_at = inspect_model(f"factory:{written(tmp_path)}:{name}", INPUT)
    assert looked_at.cam_layers == () and "or from" not in looked_at.text()
    assert score(found, probe.images(2, found.preprocessing)).probabilities.shape == (2, 7)


def test_one_sigmoid_a_row_is_taken_off(tmp_path: Path) -> None:
    found = load(tmp_path, "Squeezed", "sad,happy")
    pixels = probe.images(3, found.preprocessing)
    with torch.no_grad():
        expected = built("Squeezed")(found.preprocessing.tensor(pixels))
    assert found.output == "logits"
    np.testing.assert_allclose(score(found, pixels).probabilities[:, 1], expected, atol=1e-6)


def test_lazy_layers_take_their_shapes_from_the_weights(tmp_path: Path) -> None:
    network = built("Lazy")
    network(torch.zeros(1, 1, 48, 48))
    torch.save(network.state_dict(), tmp_path / "w.pt")
    found = load(tmp_path, "Lazy", weights="w.pt")
    pixels = probe.images(2, found.preprocessing)
    with torch.no_grad():
        expected = network(found.preprocessing.tensor(pixels)).softmax(1)
    np.testing.assert_allclose(score(found, pixels).probabilities, expected, atol=1e-5)
    torch.save({"convolution.weight": torch.zeros(3, 1, 3, 3)}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"lacks 3 of the network's 4 weights \(convolution\.bias, head\.weight"):
        load(tmp_path, "Lazy", weights="w.pt")


@pytest.mark.parametrize("given", [None, INPUT])
def test_a_network_tied_to_a_number_of_images_is_told_so(tmp_path: Path, given: str | None) -> None:
    with pytest.raises(InputError, match="failed on an input .* it runs on 1 at a time alone"):
        load(tmp_path, "OneByOne", given=given)
    with pytest.raises(InputError, match="it runs on 1 at a time alone"):
        inspect_model(f"factory:{written(tmp_path)}:OneByOne", given)


def test_an_output_with_sides_of_one_is_flattened(tmp_path: Path) -> None:
    wide, plain = load(tmp_path, "Wide"), load(tmp_path, "Net")
    pixels = probe.images(2, plain.preprocessing)
    one, other = score(wide, pixels), score(plain, pixels)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
    assert one.maps["gradcam"].shape == (2, 7, 24, 24)


def test_outputs_that_change_from_run_to_run_are_noted(tmp_path: Path) -> None:
    assert "other outputs each time" in " ".join(load(tmp_path, "Drops").card["notes"])
    assert "other outputs each time" not in " ".join(load(tmp_path, "Net").card["notes"])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"epoch": 1, "net_state_dict": state, "optimizer": {"state": {0: {"step": torch.zeros(1)}}}},
        lambda state: {"epoch": 1, "model_dict": state, "best_acc": torch.tensor(0.7)},
        lambda state: {"net": state, "best_PublicTest_acc": torch.tensor(70.1)},
        lambda state: {"saved": {"weights_of_it": {**state, "version": 2}, "loss": [0.1]}},
        lambda state: {**state, "total_ops": torch.zeros(1), "features.total_params": torch.zeros(1)},
        lambda state: {**state, "criterion.weight": torch.ones(7)},
        lambda state: {**state, "history": [1, 2], "norm": {"mean": torch.zeros(3)}},
    ],
    ids=["named", "best accuracy", "net", "deep", "thop", "criterion", "loose"],
)
def test_weights_are_found_among_other_things(tmp_path: Path, wrap) -> None:
    network = built()
    nn.init.constant_(network.head.bias, 0.25)
    torch.save(wrap(network.state_dict()), tmp_path / "w.pt")
    found = load(tmp_path, "Net", weights="w.pt")
    assert torch.equal(found.network.head.bias, network.head.bias)


def test_there_are_no_weights_in_settings() -> None:
    assert unwrap({"epoch": 3, "args": {"lr": 0.1}, "names": ["a"]}) is None


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda network: {"model": network, "epoch": 3}])
def test_a_whole_network_is_taken_out_of_what_it_is_in(tmp_path: Path, wrap) -> None:
    network = nn.Sequential(nn.Conv2d(1, 7, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.save(wrap(network), tmp_path / "w.pt")
    with pytest.raises(InputError, match="--allow-pickle"):
        load_classifier(tmp_path / "w.pt", CLASSES, INPUT)
    found = load_classifier(tmp_path / "w.pt", CLASSES, INPUT, allow_pickle=True)
    assert found.cam_layer == "0" and torch.equal(found.network[0].weight, network[0].weight)


def test_a_head_with_dropout_before_it_is_named(tmp_path: Path) -> None:
    network = timm.create_model("resnet18", num_classes=7)
    network.fc = nn.Sequential(nn.Dropout(), nn.Linear(512, 7))
    torch.save(network.state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"\(fc\.weight, fc\.bias\) and has others \(fc\.1\.weight, fc\.1\.bias\)"):
        load_classifier(f"timm:resnet18@{tmp_path}/w.pt", CLASSES)


def scripted(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 48, 48)), path)
    return path


def test_torchscript_says_what_went_wrong(tmp_path: Path) -> None:
    flat = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 46 * 46, 7))
    path = scripted(flat, tmp_path / "net.pt")
    with pytest.raises(InputError, match="failed on an input of .*: mat1 and mat2 shapes") as raised:
        load_classifier(path, CLASSES, "40x40,gray,0..1")
    assert "TorchScript interpreter" not in str(raised.value) and "\n" not in str(raised.value)


def test_torchscript_in_half_precision_is_made_whole(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = nn.Sequential(nn.Conv2d(1, 7, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        torch.jit.save(torch.jit.script(network.half()), tmp_path / "net.pt")
    found = load_classifier(tmp_path / "net.pt", CLASSES, INPUT)
    assert output_of(found.network, found.preprocessing, "it") == (7, "logits")


def test_a_hugging_face_folder_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="as Hugging Face saves models .*expected a checkpoint folder.*factory:"):
        load_classifier(tmp_path, CLASSES)
