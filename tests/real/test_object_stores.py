"""Objects of Azure and of Google Cloud Storage, from emulators of both."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.sources import open_source
from tests.real.servers import azurite, google_storage

pytestmark = pytest.mark.real

# Azurite's account, which its documentation names; it is the same everywhere.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ROWS = pa.table({"ts": [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(5)], "x": list(range(5))})
Read = Callable[[str], Any]


@pytest.fixture(params=["azure", "google"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """Two files in a store; opens a path of it."""
    monkeypatch.setenv("DRIFTD_COPIES", str(tmp_path / "copies"))
    monkeypatch.setenv("AZURE_KEY", KEY)
    with (azurite(tmp_path) if request.param == "azure" else google_storage(tmp_path, "bucket")) as endpoint:
        place = urlsplit(endpoint).netloc
        if request.param == "azure":
            files = pyarrow.fs.AzureFileSystem(
                ACCOUNT, account_key=KEY, blob_storage_authority=place, dfs_storage_authority=place,
                blob_storage_scheme="http", dfs_storage_scheme="http",
            )
            files.create_dir("bucket")
            address, storage = f"abfs://bucket@{ACCOUNT}.dfs.core.windows.net", {"access_key": {"env": "AZURE_KEY"}}
        else:
            files = pyarrow.fs.GcsFileSystem(anonymous=True, endpoint_override=place, scheme="http")
            address, storage = "gs://bucket", {"anonymous": True}
        for name in ("log/a.parquet", "log/site=b/b.parquet"):
            pq.write_table(ROWS, f"bucket/{name}", filesystem=files)
        section = {"storage": {**storage, "endpoint": endpoint}}
        yield lambda path: open_source(
            SourceSection.model_validate({**section, "path": f"{address}/{path}"}), ZoneInfo("UTC"))


def test_a_folder_a_pattern_and_an_object(store: Read) -> None:
    """They hold the rows that were written, with the partition; what is not there is said."""
    assert sorted(store("log").read(["x", "site"]).to_pylist(), key=repr) == sorted(
        [{"x": x, "site": site} for x in range(5) for site in (None, "b")], key=repr)
    assert store("log/*.parquet").read(None).equals(ROWS)
    assert store("log/site=b/b.parquet").read(["x"])["x"].to_pylist() == list(range(5))
    with pytest.raises(SourceError, match="there is no such object"):
        store("none").schema()
