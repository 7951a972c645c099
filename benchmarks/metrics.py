"""Every metric equals fairlearn's and scikit-learn's on 1,000 generated tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CASES = 1000


def main() -> int:
    tests = Path(__file__).parent.parent / "tests" / "unit" / "test_stats_metrics.py"
    command = [sys.executable, "-m", "pytest", "-q", "-o", "timeout=1800", str(tests)]
    code = subprocess.run(command, env=os.environ | {"FACEVALUE_CASES": str(CASES)}, cwd=tests.parents[2]).returncode
    print(f"{CASES} generated tables a metric: {'all equal' if code == 0 else 'NOT equal'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
