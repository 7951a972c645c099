"""Run every benchmark in turn: `python -m benchmarks`, or some of them: `python -m benchmarks one_pass intervals`."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path


def main(wanted: list[str]) -> int:
    """Each benchmark runs in a process of its own; the exit code is 1 if any of them missed its bar or failed.

    One that ends with 2 needs arguments."""
    here = Path(__file__).parent
    names = [module.name for module in pkgutil.iter_modules([str(here)]) if not module.name.startswith("_")]
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        print(f"No benchmark is called {unknown[0]!r}; there are: {', '.join(names)}.", file=sys.stderr)
        return 2
    failed, asking = [], []
    for name in wanted or names:
        print(f"\n== {name}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=here.parent).returncode
        if code:
            (asking if code == 2 else failed).append(name)
    if asking:
        print(f"\nNot run, because they need to be told something (python -m benchmarks.NAME): {', '.join(asking)}.")
    print(f"\nMissed or failed: {', '.join(failed) or 'none'}.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
