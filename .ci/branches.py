"""Hold the floor of branch coverage in the code that decides and measures; `make coverage` runs this.

Which code that is says [tool.mutmut] in pyproject.toml. Exit code 1 below the floor.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

FLOOR = 95.0     # per cent


def main() -> int:
    folders = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]["only_mutate"]
    told = subprocess.run(
        [sys.executable, "-m", "coverage", "json", "-q", "-o", "-", f"--include={','.join(folders)}"], check=True,
        stdout=subprocess.PIPE,
    )
    totals = json.loads(told.stdout)["totals"]
    reached, branches = totals["covered_branches"], totals["num_branches"]
    share = 100 * reached / branches
    print(f"Branches of the code that decides and measures: {reached} of {branches} reached, {share:.1f} %; "
          f"expected at least {FLOOR:.0f} %.")
    return int(share < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
