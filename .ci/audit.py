"""What is installed with driftd: each part's hashes and licence, a bill of materials, and the known advisories.

Run by `make audit`. Exit codes: 0 clean; 1 something to look at; 4 the advisories could not be looked up.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
PIN = re.compile(r"^([\w.-]+(?:\[[\w,-]+\])?)==([\w.!+-]+)((?:.*\\\n)*.*)", re.MULTILINE)
PERMISSIVE = re.compile(
    r"(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Unlicense|Zlib|HPND|CC0|MIT-CMU|0BSD|Public Domain)", re.I)
EXPLAINED = {                # what is not permissive, and why it may be used: as it is, unchanged, from its own package
    "LGPL": "may be used as a library of its own",
    "Lesser": "may be used as a library of its own",
    "MPL": "holds for its own files only",
    "Mozilla": "holds for its own files only",
}


def locked() -> dict[str, tuple[str, int]]:
    """Each package of the lock file: its version, and how many hashes it has."""
    return {name.partition("[")[0]: (version, rest.count("--hash=sha256:"))
            for name, version, rest in PIN.findall(LOCK.read_text(encoding="utf-8"))}


def licence(name: str) -> str | None:
    """What a package's own metadata say; None where it is not installed, "" where they say nothing."""
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classifiers = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or () if "License" in line]
    short = (told.get("License") or "").split("\n")[0]
    return told.get("License-Expression") or ", ".join(classifiers) or short


def verdict(text: str) -> str:
    """How a licence is judged: `permissive`, why it may be used, or `unknown`."""
    reasons = [reason for name, reason in EXPLAINED.items() if name in text]
    return reasons[0] if reasons else "permissive" if PERMISSIVE.search(text) else "unknown"


def licences() -> dict[str, str]:
    """The licence of each locked package that is installed; others belong to other systems or Pythons."""
    return {name: text for name in locked() if (text := licence(name)) is not None}


def advisories(pip_audit: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The packages with known vulnerabilities, and those that could not be looked up."""
    done = subprocess.run(
        [pip_audit, "-r", LOCK, "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"],
        capture_output=True, text=True,
    )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return [], [*locked()]
    return [one for one in found if one.get("vulns")], [one["name"] for one in found if "skip_reason" in one]


def main(tools: str) -> int:
    pins, known = locked(), licences()
    print(f"{len(pins)} packages in {LOCK.name}, {sum(1 for _, hashes in pins.values() if not hashes)} without a hash")
    for words, count in Counter(verdict(text) for text in known.values()).most_common():
        names = ", ".join(name for name, text in known.items() if verdict(text) == words)
        print(f"{count} licences: {words}" + ("" if words == "permissive" else f": {names}"))
    bill = ROOT / ".audit/sbom.json"
    subprocess.run([f"{tools}/cyclonedx-py", "environment", sys.executable, "--of", "JSON", "-o", bill], check=True)
    print(f"bill of materials: {bill.relative_to(ROOT)} (CycloneDX)")
    vulnerable, unknown = advisories(f"{tools}/pip-audit")
    for one in vulnerable:
        print(f"{one['name']} {one['version']}: " + ", ".join(advisory["id"] for advisory in one["vulns"]))
    if unknown:
        print(f"advisories: {len(unknown)} of {len(pins)} packages could not be looked up; is the network there?",
              file=sys.stderr)
        return 4
    print(f"advisories: {len(pins)} packages looked up, {len(vulnerable)} with a known vulnerability")
    clean = all(hashes for _, hashes in pins.values()) and "unknown" not in map(verdict, known.values())
    return 0 if clean and not vulnerable else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
