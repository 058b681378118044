"""Row 22: every part that is installed with driftd has hashes and a licence; the advisories are `make audit`'s."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.torture(22)
def test_every_part_has_hashes_and_a_licence(audit: ModuleType, figure: Callable[[str], None]) -> None:
    """No package of the lock file is without a hash, none that is installed without a licence that is understood."""
    pins, known = audit.locked(), audit.licences()
    assert [name for name, (_, hashes) in pins.items() if not hashes] == []
    assert {"evidently", "apscheduler", "pandas", "scikit-learn", "prometheus-client", "requests"} <= set(known)
    assert {name: text for name, text in known.items() if audit.verdict(text) == "unknown"} == {}
    explained = sorted(name for name, text in known.items() if audit.verdict(text) != "permissive")
    figure(f"{len(pins)} packages, each with hashes; {len(known)} installed, permissive but for {', '.join(explained)} "
           "(explained in .ci/audit.py). Advisories: `make audit`, which ends with 4 where they cannot be looked up")


@pytest.mark.torture(22)
def test_advisories_that_cannot_be_looked_up_are_said(audit: ModuleType, tmp_path: Path) -> None:
    """A tool that answers nothing, or that skips packages, is never taken for a clean bill."""
    tool = tmp_path / "pip-audit"
    for answer, unknown in (("", len(audit.locked())), (SKIPPED, 1)):
        tool.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
        tool.chmod(0o700)
        vulnerable, skipped = audit.advisories(str(tool))
        assert (len(skipped), len(vulnerable)) == (unknown, bool(answer))


SKIPPED = """{"dependencies": [{"name": "a", "skip_reason": "not found"}, {"name": "b", "version": "1", "vulns": []},
{"name": "c", "version": "1", "vulns": [{"id": "GHSA-1"}]}]}"""
