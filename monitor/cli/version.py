"""The version of driftd."""

import subprocess
from pathlib import Path

import monitor


def version() -> str:
    """Return the version; in a checkout with its commit ("0.1.0 (git 03bebab-dirty)" if files were changed)."""
    revision = _revision(Path(monitor.__file__).resolve().parents[1])
    return f"{monitor.__version__} (git {revision})" if revision else monitor.__version__


def _revision(folder: Path) -> str | None:
    """Return the commit of a checkout; None if the folder is none or git fails."""
    if not (folder / ".git").exists():       # a folder; in a worktree a file
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
