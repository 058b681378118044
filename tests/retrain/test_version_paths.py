"""Versions that a registry or a run names, as parts of the path of a reference."""

import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import SourceSection
from monitor.errors import SourceError
from monitor.escape import in_path
from monitor.sources import open_source


def read(place: str) -> object:
    return open_source(SourceSection(path=place), ZoneInfo("UTC")).read(None)["x"].to_pylist()


PIECES = st.sampled_from(["..", ".", "/", "a", "v1", "*", "[", "]", "?", "\0", "~", "%", " ", "{version}", "**"])


@given(st.lists(PIECES, min_size=1, max_size=8).map("".join))
def test_a_version_leads_to_no_other_folder(version: str) -> None:
    """Whatever a version is called, the path stays below the folder before it, and can be a path."""
    path = os.path.normpath(f"/refs/{in_path(version)}/it.parquet")
    assert path.startswith("/refs/")
    assert "\0" not in path


@pytest.mark.parametrize("version", ["v1", "2026-01-01", "1.2.3", "release/7", "..a", "a..b"])
def test_usual_versions_stay_as_they_are(version: str) -> None:
    """Only what would act is written differently."""
    assert in_path(version) == version


@pytest.mark.parametrize("version", ["v*", "v[12]", "v?"])
def test_a_version_is_no_pattern(version: str, tmp_path: Path) -> None:
    """A version with signs of a pattern means the file of that name, and no other."""
    (tmp_path / "v1.csv").write_text("x\n1\n")
    place = f"{tmp_path}/{in_path(version)}.csv"
    with pytest.raises(SourceError, match="no such file"):
        read(place)
    (tmp_path / f"{version}.csv").write_text("x\n1\n")
    assert read(place) == [1]
