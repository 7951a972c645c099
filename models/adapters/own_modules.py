"""User code with modules of its own: where it imports ``models`` or ``data`` it gets its own, never ours.

User modules live under a private package name, and their ``import`` statements go through an importer that looks in
their folder first. Nothing global is swapped, so imports inside functions work whenever and in whatever thread they
run, the ``models`` of two users stand side by side, and ours stays ours.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

OUR_ROOMS = ("faces", "models", "audit", "training", "reports", "dashboard", "facevalue", "tests", "benchmarks")
OUR_HOUSE = Path(__file__).parents[2]
_numbers = count(1)


class OwnModules(MetaPathFinder):
    """The modules of the user's code in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.root = f"facevalue_user_{next(_numbers)}"
        self.builtins = {**vars(builtins), "__import__": self._import}
        self._path = _search_path(folder.resolve())
        self._sys_path: list[str] | None = None
        self._ran: ModuleType | None = None
        package = ModuleType(self.root)
        package.__path__ = self._path
        sys.modules[self.root] = package
        sys.meta_path.insert(0, self)

    def run_file(self, file: Path) -> ModuleType:
        """Execute a .py file as one of the modules and return it; whatever it raises goes through.

        What was pickled when such a file ran as a script is looked for in it from then on.
        """
        name = f"{self.root}.{file.stem if file.stem.isidentifier() else 'user_file'}"
        spec = importlib.util.spec_from_file_location(name, file, loader=_OwnLoader(name, str(file), self.builtins))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        with self.loading():
            spec.loader.exec_module(module)
        self._ran = module
        return module

    @contextmanager
    def loading(self) -> Iterator[None]:
        """What the user's code adds to ``sys.path`` within belongs to it alone; ``sys.path`` is restored."""
        before = list(sys.path)
        self._sys_path = before
        try:
            yield
        finally:
            self._adopt_path()
            self._sys_path = None
            sys.path[:] = before

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """``importlib.import_module`` as the user's code sees it."""
        if not name.startswith(".") and self.owns(name.partition(".")[0]):
            name = f"{self.root}.{name}"
        return importlib.import_module(name, package)

    def owns(self, top: str) -> bool:
        """Whether a top-level module name means something of the user's."""
        self._adopt_path()
        if f"{self.root}.{top}" in sys.modules:
            return True
        spec = PathFinder.find_spec(top, self._path)
        if spec is None:
            return False
        if spec.origin is None:  # a folder without __init__.py yields to an installed package, but not to our rooms
            return top in OUR_ROOMS or importlib.util.find_spec(top) is None
        return getattr(sys.modules.get(top), "__file__", None) != spec.origin

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finder protocol: modules under the private name are read by a loader that gives them our importer."""
        if not fullname.startswith(f"{self.root}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _OwnLoader(fullname, spec.loader.path, self.builtins)
        return spec

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level == 0 and top == "importlib":
            builtins.__import__(name, globals, locals, fromlist, 0)
            return self._importlib() if name == top or not fromlist else sys.modules[name]
        if level or not self.owns(top):
            return builtins.__import__(name, globals, locals, fromlist, level)
        module = builtins.__import__(f"{self.root}.{name}", globals, locals, fromlist, 0)
        return module if fromlist else sys.modules[f"{self.root}.{top}"]

    def _importlib(self) -> ModuleType:
        copy = ModuleType("importlib")
        vars(copy).update(vars(importlib), import_module=self.import_module)
        return copy

    def _adopt_path(self) -> None:
        if self._sys_path is not None:
            known = {*self._sys_path, *self._path}
            self._path[1:1] = [entry for entry in sys.path if entry not in known]

    def _script_with(self, name: str) -> str:
        """The module that stands for the script or notebook which pickled ``name``; raises AttributeError."""
        if self._ran is None:
            raise AttributeError(f"{name} stands in the script or notebook that saved it, not in a module")
        if not hasattr(self._ran, name.partition(".")[0]):
            raise AttributeError(f"{name} is not in {Path(str(self._ran.__file__)).name}")
        return self._ran.__name__

    def unpickler(self) -> ModuleType:
        """A stand-in for the ``pickle`` module whose classes come from the user's modules; for ``torch.load``."""
        own = self

        class Unpickler(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                if module == "__main__":
                    module = own._script_with(name)
                elif own.owns(module.partition(".")[0]):
                    module = own.import_module(module).__name__
                return super().find_class(module, name)

        stand_in = ModuleType("pickle")
        vars(stand_in).update(vars(pickle), Unpickler=Unpickler)
        return stand_in


def _search_path(folder: Path) -> list[str]:
    """The folder; what holds the package that it is; the working directory, as ``python -m`` would look there."""
    path = [folder]
    while (path[-1] / "__init__.py").is_file() or path[-1].name in OUR_ROOMS:
        path.append(path[-1].parent)
    if Path.cwd() != OUR_HOUSE:
        path.append(Path.cwd())
    return list(dict.fromkeys(map(str, path)))


class _OwnLoader(SourceFileLoader):
    """Runs a module with the user's importer in its builtins, so that its ``import`` statements use it."""

    def __init__(self, name: str, path: str, own_builtins: dict[str, Any]) -> None:
        super().__init__(name, path)
        self._builtins = own_builtins

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._builtins
        super().exec_module(module)
