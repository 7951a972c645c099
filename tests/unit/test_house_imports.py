"""The house rule: imports run one way, and what must stay free of torch is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MAY_IMPORT = {
    "faces": {"faces"},
    "models": {"models", "faces"},
    "training": {"training", "models", "faces"},
    "audit": {"audit", "models", "faces"},
    "reports": {"reports", "audit", "models", "faces"},
    "dashboard": {"dashboard", "reports", "audit", "models", "faces"},
}
ROOMS = set(MAY_IMPORT)


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names & ROOMS


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_run_one_way(room: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(extra)
        for path in (ROOT / room).rglob("*.py")
        if (extra := imported_rooms(path) - MAY_IMPORT[room])
    }
    assert not wrong


@pytest.mark.parametrize(
    "module", ["faces.readers", "faces.synthetic", "audit", "audit.run", "audit.analyses", "reports.figures",
               "reports.fairness_report", "audit.review.service", "dashboard.app", "facevalue"],
)  # fmt: skip
def test_torch_free_modules(module: str) -> None:
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
