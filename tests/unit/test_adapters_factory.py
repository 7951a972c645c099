"""Networks that the user's own code builds: its modules stay its own, ours stay ours, and errors name the line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import models
from audit.scoring import score
from faces.errors import InputError
from models import catalogue, probe
from models.inspect_model import inspect_model
from models.load import load_classifier

CLASSES = "angry,disgust,fear,happy,sad,surprise,neutral"
INPUT = "48x48,gray,0..1"
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, width, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(width, 7)

    def forward(self, x):
        return self.head(self.features(x).mean(dim=(2, 3)))
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def load(folder: Path, function: str = "build", weights: Path | None = None, **more: object):
    spec = f"factory:{folder}/build.py:{function}" + (f"@{weights}" if weights else "")
    return load_classifier(spec, CLASSES, INPUT, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("package", ["models/__init__.py", "models.py", "models/net.py"], ids=str)
def test_user_code_gets_its_own_models(tmp_path: Path, package: str) -> None:
    source = "models.net" if package == "models/net.py" else "models"
    write(tmp_path, {package: NET, "build.py": f"from {source} import Net\ndef build():\n    return Net()\n"})
    paths, finders = list(sys.path), len(sys.meta_path)
    classifier = load(tmp_path)
    assert score(classifier, probe.images(2, classifier.preprocessing)).maps["gradcam"].shape == (2, 7, 24, 24)
    assert sys.modules["models"] is models and sys.modules["models"].__file__ == models.__file__
    assert sys.path == paths and len(sys.meta_path) == finders + 1
    from models.classifier import Classifier

    assert isinstance(classifier, Classifier)


def test_imports_within_functions_find_the_users_own_too(tmp_path: Path) -> None:
    build = """
def build():
    import data.steps as steps
    from models import Net
    import models.extra
    class Lazy(Net):
        def forward(self, x):
            from models.extra import double
            import data
            import importlib
            assert importlib.import_module("models.extra") is models_extra()
            assert data.steps is steps
            return double(super().forward(x)) * data.SCALE
    def models_extra():
        import models
        return models.extra
    return Lazy()
"""
    write(
        tmp_path,
        {
            "models/__init__.py": NET,
            "models/extra.py": "from . import Net\nfrom data import TWO\ndef double(x):\n    return x * TWO\n",
            "data/__init__.py": "SCALE = 1\nTWO = 2\n",
            "data/steps.py": "import models\nassert models.Net\n",
            "build.py": build,
        },
    )
    classifier = load(tmp_path)
    plain = torch.no_grad()(type(classifier.network).__mro__[1].forward)
    batch = probe.example(classifier.preprocessing)
    with torch.no_grad():
        torch.testing.assert_close(classifier.network(batch), 2 * plain(classifier.network, batch))


def test_two_users_models_stand_side_by_side(tmp_path: Path) -> None:
    build = "def build():\n    from models import Net, NAME\n    net = Net()\n    net.title = NAME\n    return net\n"
    folders = [
        write(tmp_path / name, {"models.py": NET + f"\nNAME = {name!r}\n", "build.py": build})
        for name in ("one", "two")
    ]
    assert [load(folder).network.title for folder in folders] == ["one", "two"]


def test_a_folder_that_the_code_adds_to_the_path_is_its_own(tmp_path: Path) -> None:
    build = (
        "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'src'))\n"
        "from models import Net\ndef build():\n    import models.late\n    return Net()\n"
    )
    write(tmp_path, {"src/models/__init__.py": NET, "src/models/late.py": "", "build.py": build})
    before = list(sys.path)
    assert load(tmp_path).cam_layer is not None
    assert sys.path == before


@pytest.mark.parametrize("package", ["models/__init__.py", "models/readme.txt"])
def test_a_file_within_the_users_models_finds_the_package_it_is_in(tmp_path: Path, package: str) -> None:
    build = "from models.net import Net\ndef build():\n    return Net()\n"
    write(tmp_path, {package: "", "models/net.py": NET, "models/build.py": build})
    assert load(tmp_path / "models").kind == "factory"


def test_the_working_directory_is_looked_in_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"models.py": NET, "src/build.py": "import models\ndef build():\n    return models.Net()\n"})
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path / "src").kind == "factory"


def test_our_own_networks_can_be_built_by_user_code(tmp_path: Path) -> None:
    code = "def build():\n    from models.catalogue import build\n    return build('tiny', 7, 1)\n"
    write(tmp_path, {"build.py": code})
    assert type(load(tmp_path).network) is type(catalogue.build("tiny", 7, 1))


def test_the_users_files_do_not_hide_installed_packages(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "numpy").mkdir()
    write(
        tmp_path, {"build.py": NET + "import numpy\nassert numpy.array([1])[0] == 1\ndef build():\n    return Net()\n"}
    )
    assert load(tmp_path).kind == "factory"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": {f"model.{name}": value for name, value in state.items()}, "epoch": 3},
        lambda state: {
            "model_state_dict": {f"module.backbone.{n}": v for n, v in state.items()},
            "acc": np.float64(0.7),
        },
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    ],
    ids=["bare", "DataParallel", "lightning", "wrapped with numpy", "model"],
)
def test_state_dicts_as_people_save_them(tmp_path: Path, wrap) -> None:
    write(tmp_path, {"build.py": NET + "\ndef build():\n    return Net()\n"})
    trained = load(tmp_path)
    torch.save(wrap(trained.network.state_dict()), tmp_path / "w.pth")
    loaded = load(tmp_path, weights=tmp_path / "w.pth")
    assert loaded.fingerprint == trained.fingerprint


def test_a_state_dict_goes_into_a_network_that_wraps_the_trained_one(tmp_path: Path) -> None:
    more = (
        "\ndef build():\n    outer = nn.Module()\n    outer.backbone = Net()\n"
        "    outer.forward = outer.backbone.forward\n    return outer\n"
    )
    write(tmp_path, {"build.py": NET + more})
    outer = load(tmp_path)
    torch.save(outer.network.backbone.state_dict(), tmp_path / "w.pt")
    assert load(tmp_path, weights=tmp_path / "w.pt").fingerprint == outer.fingerprint


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"build.py": NET + "\ndef build():\n    return Net()\ndef wide():\n    return Net(8)\n"})
    state = load(tmp_path).network.state_dict()
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"features\.0\.weight is \(6, 1, 3, 3\) in the file and \(8, 1, 3, 3\)"):
        load(tmp_path, "wide", tmp_path / "w.pt")
    del state["head.bias"]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"lacks 1 of the network's 4 weights \(head\.bias\)"):
        load(tmp_path, weights=tmp_path / "w.pt")
    state |= {"head.bias": torch.zeros(7), "tail.bias": torch.zeros(7)}
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"1 weights that the network does not \(tail\.bias\)"):
        load(tmp_path, weights=tmp_path / "w.pt")


class Bomb:
    def __reduce__(self) -> tuple:
        return (print, ("pickled code ran",))


def test_pickled_code_runs_only_when_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"build.py": NET + "\ndef build():\n    return Net()\n"})
    torch.save({"state_dict": load(tmp_path).network.state_dict(), "bomb": Bomb()}, tmp_path / "w.pt")
    with pytest.raises(InputError, match="--allow-pickle"):
        load(tmp_path, weights=tmp_path / "w.pt")
    assert "pickled code ran" not in capsys.readouterr().out
    assert load(tmp_path, weights=tmp_path / "w.pt", allow_pickle=True).kind == "factory"
    assert "pickled code ran" in capsys.readouterr().out


def test_a_whole_pickled_network_finds_its_class_beside_it(tmp_path: Path) -> None:
    """A network saved whole by a script whose classes lie in its own ``models.py``."""
    script = (
        "import sys, torch\nsys.path.insert(0, sys.argv[1])\nfrom models import Net\ntorch.save(Net(), sys.argv[2])\n"
    )
    write(tmp_path, {"models.py": NET, "save.py": script})
    import subprocess

    subprocess.run([sys.executable, tmp_path / "save.py", tmp_path, tmp_path / "net.pt"], check=True, cwd=tmp_path)
    with pytest.raises(InputError, match="--allow-pickle"):
        load_classifier(tmp_path / "net.pt", CLASSES, INPUT)
    found = load_classifier(tmp_path / "net.pt", CLASSES, INPUT, allow_pickle=True)
    assert found.kind == "torch" and type(found.network).__name__ == "Net"


SAVING = """
if __name__ == "__main__":
    import sys
    torch.save({"epoch": 1, "model": Net()}, sys.argv[1])
"""


def test_what_a_script_pickled_of_itself_is_found_in_its_file(tmp_path: Path) -> None:
    import subprocess

    write(tmp_path, {"build.py": NET + "\ndef build():\n    return Net()\n" + SAVING, "other.py": "build = int\n"})
    subprocess.run([sys.executable, tmp_path / "build.py", tmp_path / "net.pt"], check=True)
    first = load(tmp_path, weights=tmp_path / "net.pt", allow_pickle=True)
    assert first.fingerprint == load(tmp_path, weights=tmp_path / "net.pt", allow_pickle=True).fingerprint
    assert first.fingerprint != load(tmp_path).fingerprint
    with pytest.raises(InputError, match=r"Net stands in the script or notebook that saved it.*factory:FILE\.py"):
        load_classifier(tmp_path / "net.pt", CLASSES, INPUT, allow_pickle=True)
    write(tmp_path, {"build.py": NET.replace("Net", "Other") + "\ndef build():\n    return Other()\n"})
    with pytest.raises(InputError, match=r"Net is not in build\.py"):
        load(tmp_path, weights=tmp_path / "net.pt", allow_pickle=True)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("built", ["torch.jit.script(Net())", "nn.Sequential(torch.jit.script(Net()), nn.Identity())"])
def test_torchscript_that_a_function_returns_is_a_black_box(tmp_path: Path, built: str) -> None:
    write(tmp_path, {"build.py": NET + f"\ndef build():\n    return {built}\n"})
    classifier = load(tmp_path)
    assert classifier.cam_layer is None and "lets no layer be hooked" in classifier.card["notes"][0]
    scored = score(classifier, probe.images(2, classifier.preprocessing))
    assert scored.maps == {} and scored.probabilities.shape == (2, 7)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_files_that_are_no_weights_are_called_what_they_are(tmp_path: Path) -> None:
    import pickle

    write(tmp_path, {"build.py": NET + "\ndef build():\n    return Net()\ndef plain():\n    return nn.Linear(2, 3)\n"})
    network = load(tmp_path).network
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 48, 48)), tmp_path / "scripted.pt")
    with pytest.raises(InputError, match=r"scripted\.pt is a whole network as TorchScript"):
        load(tmp_path, weights=tmp_path / "scripted.pt")
    (tmp_path / "state.pkl").write_bytes(pickle.dumps(network.state_dict()))
    with pytest.raises(InputError, match=r"state\.pkl was written by Python's pickle.*torch\.save"):
        load(tmp_path, weights=tmp_path / "state.pkl")
    torch.save(network.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert load(tmp_path, weights=tmp_path / "old.pt").kind == "factory"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, {"build.py": NET + "\ndef build():\n    return Net()\n"})
    torch.save(load(tmp_path).network.state_dict(), tmp_path / "w.pt")
    found = load_classifier("factory:~/build.py:build@~/w.pt", CLASSES, INPUT)
    assert found.card["spec"] == f"factory:{tmp_path.resolve()}/build.py:build@{tmp_path.resolve()}/w.pt"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_of_this_name\n", r"build\.py could not be run: ModuleNotFoundError: .*\(build\.py, line 1\)"),
        ("def build():\n    return 1 / 0\n", r"build\(\) of .*failed: ZeroDivisionError: .*\(build\.py, line 2\)"),
        ("def build(width):\n    pass\n", "without arguments, on the CPU"),
        ("def other():\n    pass\n", "no function 'build'; it has: other"),
        ("def build():\n    return 3\n", "returned a int"),
        ("raise SystemExit(2)\n", "SystemExit"),
        (
            NET + "def build():\n    net = Net()\n    net.head = nn.Identity()\n    return (net, 1)\n",
            "returned a tuple",
        ),
        (
            NET + "class Two(Net):\n    def forward(self, x):\n        return super().forward(x), x\n"
            "def build():\n    return Two()\n",
            "returned tuple for 6 images",
        ),
        (
            NET + "def build():\n    net = Net()\n    net.head = nn.Linear(6, 5)\n    return net\n",
            "7 classes were given .* and the model .* has 5 outputs",
        ),
    ],
)
def test_errors_of_the_users_code_are_one_sentence(tmp_path: Path, code: str, message: str) -> None:
    write(tmp_path, {"build.py": code})
    with pytest.raises(InputError, match=message) as raised:
        load(tmp_path)
    assert "facevalue_user" not in str(raised.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("factory:nothing", "is not understood"),
        ("factory:gone.py:build", "is not a file"),
        ("timm:resnet18", "timm:NAME@weights"),
        ("timm:resnet18@gone.pt", "is not a file"),
        ("gone.onnx", "is not there"),
    ],
)
def test_specs_that_name_nothing(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_classifier(spec, CLASSES)


def test_classes_and_input_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, {"build.py": NET + "\ndef build():\n    return Net()\n"})
    with pytest.raises(InputError, match="--classes angry,disgust,fear,happy,sad,surprise,neutral"):
        load_classifier(f"factory:{tmp_path}/build.py:build", None, INPUT)
    with pytest.raises(InputError, match="takes several input sizes.*--input, like 48x48,gray"):
        load_classifier(f"factory:{tmp_path}/build.py:build", CLASSES)
    found = inspect_model(f"factory:{tmp_path}/build.py:build")
    assert found.preprocessing.height == 48 and "several input sizes" in found.notes[0]
    with pytest.raises(InputError, match=r"48x48 rgb, 0\.\.1 is not what .* takes, which is 48x48 gray"):
        load_classifier(f"factory:{tmp_path}/build.py:build", CLASSES, "48x48,rgb,0..1")


def test_the_size_of_a_flattened_head_is_found(tmp_path: Path) -> None:
    code = (
        "from torch import nn\ndef build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 62 * 62, 7))\n"
    )
    write(tmp_path, {"build.py": code})
    found = load_classifier(f"factory:{tmp_path}/build.py:build", CLASSES).preprocessing
    assert (found.height, found.width, found.channels) == (64, 64, 3)


def test_what_a_network_returns_is_named_and_half_precision_made_whole(tmp_path: Path) -> None:
    code = (
        "from torch import nn\nclass Told(nn.Sequential):\n"
        "    def forward(self, x):\n        return {'logits': super().forward(x)}\n"
        "def layers(): return nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 46 * 46, 7)\n"
        "def told(): return Told(*layers())\ndef half(): return nn.Sequential(*layers()).half()\n"
    )
    write(tmp_path, {"build.py": code})
    with pytest.raises(InputError, match="returned dict for .* images; a tensor"):
        load_classifier(f"factory:{tmp_path}/build.py:told", CLASSES)
    assert load_classifier(f"factory:{tmp_path}/build.py:half", CLASSES).preprocessing.height == 48


def test_a_softmax_at_the_end_is_taken_off(tmp_path: Path) -> None:
    with_softmax = NET + "def build():\n    return nn.Sequential(Net(), nn.Softmax(dim=1))\n"
    hidden = NET + (
        "class Own(Net):\n    def forward(self, x):\n        return super().forward(x).softmax(1)\n"
        "def build():\n    return Own()\n"
    )
    results = []
    for name, code in (("module", with_softmax), ("function", hidden)):
        torch.manual_seed(0)
        classifier = load(write(tmp_path / name, {"build.py": code}))
        pixels = probe.images(3, classifier.preprocessing)
        results.append((classifier.output, score(classifier, pixels).probabilities))
    assert [output for output, _ in results] == ["logits", "probabilities"]
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-6)
    assert "cannot be taken off" in load(tmp_path / "function").card["notes"][-1]


SIGMOIDS = {
    "module": "nn.Sequential(Net(1), nn.Linear(7, 1), nn.Sigmoid())",
    "function": "Own()",
    "several": "nn.Sequential(Net(), nn.Sigmoid())",
}


@pytest.mark.parametrize(
    ("kind", "output"), [("module", "logits"), ("function", "sigmoid"), ("several", "probabilities")]
)
def test_sigmoids(tmp_path: Path, kind: str, output: str) -> None:
    code = NET + (
        "class Own(Net):\n    def forward(self, x):\n        return super().forward(x)[:, 0].sigmoid()\n"
        f"def build():\n    torch.manual_seed(0)\n    return {SIGMOIDS[kind]}\n"
    )
    write(tmp_path, {"build.py": code})
    classes = CLASSES if kind == "several" else "sad,happy"
    classifier = load_classifier(f"factory:{tmp_path}/build.py:build", classes, INPUT)
    pixels = probe.images(3, classifier.preprocessing)
    space: dict = {}
    exec(code, space)
    with torch.no_grad():
        expected = space["build"]()(classifier.preprocessing.tensor(pixels))
    scored = score(classifier, pixels)
    assert classifier.output == output
    if kind == "several":
        np.testing.assert_allclose(scored.probabilities, expected / expected.sum(1, keepdim=True), atol=1e-6)
    else:
        np.testing.assert_allclose(scored.probabilities[:, 1], expected.reshape(3), atol=1e-6)
    assert scored.maps["gradcam"].any()


def test_a_layer_called_twice_is_refused_by_name(tmp_path: Path) -> None:
    code = NET + (
        "class Twice(Net):\n    def __init__(self):\n        super().__init__()\n"
        "        self.again = nn.Conv2d(6, 6, 1)\n"
        "    def forward(self, x):\n        x = self.again(self.again(self.features(x)))\n"
        "        return self.head(x.mean(dim=(2, 3)))\n"
        "def build():\n    return Twice()\n"
    )
    write(tmp_path, {"build.py": code})
    assert load(tmp_path).cam_layer == "features"
    with pytest.raises(InputError, match="'again' gives no single map"):
        load(tmp_path, cam_layer="again")
    with pytest.raises(InputError, match="'nowhere' is not in the network"):
        load(tmp_path, cam_layer="nowhere")


def test_modes_of_modules_are_left(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout())
    network[1].eval()
    with probe.quiet_eval(network):
        assert not network[0].training
    assert network.training and network[0].training and not network[1].training
