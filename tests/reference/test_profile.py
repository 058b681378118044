"""Digests of a reference are kept as files: found by every worker, made anew when they do not fit, never in the way."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config import ModelSection
from monitor.reference import reference_data as loading
from monitor.reference.profile import KNOWN, UNUSED, profile_folder
from monitor.reference.reference_data import ReferenceData
from monitor.tables.digest import CategoryDigest, Digest, KeptCategories, KeptNumbers, KeptText, NumberDigest

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KINDS: dict[str, Any] = {"x": "numerical", "word": "categorical", "said": "text"}
ROWS = 400


def write(folder: Path, shift: float = 0.0) -> Path:
    path = folder / "reference.parquet"
    pq.write_table(pa.table({
        "timestamp": [NOW - timedelta(days=30) + timedelta(hours=n) for n in range(ROWS)],
        "prediction": np.arange(ROWS) % 2,
        "x": pa.array([None if n % 9 == 0 else n / 7 + shift for n in range(ROWS)]),
        "word": ["abc"[n % 3] for n in range(ROWS)],
        "said": [f"text number {n} of many" for n in range(ROWS)],
    }), path)
    return path


def worker(path: Path, profiles: Path | None) -> ReferenceData:
    """Load the reference as a newly started worker does."""
    loading._from_source.cache_clear()
    loading._tables.clear()
    place = {"path": str(path)}
    model = ModelSection.model_validate({"name": "m", "predictions": place, "reference": {"source": place}})
    return loading.load_reference(model, NOW, None, profiles)


def digests(found: ReferenceData) -> dict[str, Digest]:
    made = {name: found.profile.column(name, kind) for name, kind in KINDS.items()}
    return {name: digest for name, digest in made.items() if digest is not None}


def folders(profiles: Path) -> list[Path]:
    """The folders of references' profiles."""
    return [folder for folder in profiles.iterdir() if folder.name != KNOWN]


def figures(found: ReferenceData) -> dict[str, Any]:
    """Return the digests' figures, for comparison."""
    said: dict[str, Any] = {}
    for name, digest in digests(found).items():
        said[name] = [digest.rows, digest.missing]
        if isinstance(digest, NumberDigest):
            said[name] += [digest.spread, digest.ascending.tolist()]
        elif isinstance(digest, CategoryDigest):
            said[name] += [digest.counts]
    return said


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the columns that were read from Parquet files."""
    names: set[str] = set()
    real = pq.ParquetFile.read_row_group

    def noted(self: Any, group: int, columns: Any = None, **options: Any) -> pa.Table:
        names.update(columns or self.schema_arrow.names)
        return real(self, group, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    return names


def test_a_second_worker_finds_them_and_reads_no_column_again(tmp_path: Path, read: set[str]) -> None:
    """A second worker loads the same figures, memory-mapped, without reading feature columns; files are private."""
    path, profiles = write(tmp_path), tmp_path / "state/profiles"
    first = figures(worker(path, profiles))
    assert read >= set(KINDS)
    read.clear()
    again = worker(path, profiles)
    assert figures(again) == first == figures(worker(path, None))
    kinds = [type(digest) for digest in digests(again).values()]
    assert kinds == [KeptNumbers, KeptCategories, KeptText]
    assert isinstance(digests(again)["x"].ascending, np.memmap)     # type: ignore[attr-defined]  # of KeptNumbers
    folder, = folders(profiles)
    assert [one.stat().st_mode & 0o777 for one in (profiles, folder)] == [0o700, 0o700]
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_a_stored_profile_needs_no_row(tmp_path: Path, read: set[str]) -> None:
    """With a stored profile nothing of the reference is read; its rows, if asked for, without the features."""
    path, profiles = write(tmp_path), tmp_path / "profiles"
    figures(worker(path, profiles))
    read.clear()
    again = worker(path, profiles)
    figures(again)
    assert (again.rows, again.maturity) == (ROWS, worker(path, None).maturity)
    read.clear()
    again = worker(path, profiles)
    figures(again)
    assert read == set()
    assert len(again.answers) == ROWS
    assert read == {"timestamp", "prediction"}


def test_a_rewritten_file_has_a_profile_of_its_own(tmp_path: Path) -> None:
    """Changed content has a new profile; the original content finds the original profile again."""
    profiles = tmp_path / "profiles"
    first = figures(worker(write(tmp_path), profiles))
    second = figures(worker(write(tmp_path, shift=1.0), profiles))
    assert second["x"] != first["x"]
    assert second == figures(worker(write(tmp_path, shift=1.0), None))
    assert len(folders(profiles)) == 2
    assert figures(worker(write(tmp_path), profiles)) == first
    assert len(folders(profiles)) == 2


@pytest.mark.parametrize("damage", [
    lambda content: b"",                                   # as after a power failure
    lambda content: content[: len(content) // 2],
    lambda content: bytes(len(content)),
], ids=["empty", "half", "zeros"])
@pytest.mark.parametrize("ending", [".json", ".npy"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, ending: str, damage: Any) -> None:
    """After any damage to the files the figures are right and the files are complete again."""
    path, profiles = write(tmp_path), tmp_path / "profiles"
    first = figures(worker(path, profiles))
    files = [file for file in folders(profiles)[0].iterdir() if file.suffix == ending]
    contents = {file: file.read_bytes() for file in files}
    for file in files:
        file.write_bytes(damage(contents[file]))
    assert figures(worker(path, profiles)) == first
    assert {file: file.read_bytes() for file in files} == contents


def test_without_a_place_to_write_nothing_is_lost(tmp_path: Path) -> None:
    """A file where the folder should be, or a folder that may not be written: the numbers come without it."""
    path, place = write(tmp_path), tmp_path / "profiles"
    place.write_text("in the way")
    assert figures(worker(path, place)) == figures(worker(path, None))
    assert place.read_text() == "in the way"


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_only_time_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """An incomplete file is removed on a full disk, and is written once there is room."""
    path, profiles = write(tmp_path), tmp_path / "profiles"
    expected = figures(worker(path, None))
    with full_disk():
        assert figures(worker(path, profiles)) == expected
    assert list(folders(profiles)[0].iterdir()) == []
    assert figures(worker(path, profiles)) == expected
    assert isinstance(digests(worker(path, profiles))["x"], KeptNumbers)


def test_unused_profiles_are_removed(tmp_path: Path) -> None:
    """A new profile removes those unused for 30 days, and no others; loading counts as use."""
    old, used, recent = (profile_folder(tmp_path, name) for name in ("old", "used", "recent"))
    assert old
    assert used
    assert recent
    (old / "digest.npy").write_bytes(b"some")
    ages = {old: UNUSED + timedelta(days=1), used: UNUSED + timedelta(days=1), recent: UNUSED - timedelta(days=1)}
    for folder, age in ages.items():
        then = datetime.now(UTC).timestamp() - age.total_seconds()
        os.utime(folder, (then, then))
    assert profile_folder(tmp_path, "used") == used
    assert profile_folder(tmp_path, "new")
    assert (old.exists(), used.exists(), recent.exists()) == (False, True, True)
