"""libpq connects where driftd has looked: each host is looked up once, checked, and handed on in numbers."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from psycopg import conninfo

from monitor.config.sections import SourceSection
from monitor.config.values import Secret
from monitor.errors import SourceError
from monitor.outgoing.guard import AddressRefused
from monitor.sources import open_source
from monitor.sources.databases.postgres import checked_address


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("address", "expected"), [
    ("postgresql://u:p@127.0.0.1/x", {"host": "127.0.0.1", "hostaddr": "127.0.0.1", "port": "5432"}),
    ("postgresql://u:p@localhost:5433/x?sslmode=verify-full",
     {"host": "localhost", "hostaddr": "127.0.0.1", "port": "5433", "sslmode": "verify-full"}),
    ("host=db.internal hostaddr=2130706433", {"host": "db.internal", "hostaddr": "127.0.0.1", "port": "5432"}),
    ("postgresql://u@127.0.0.1:1,127.0.0.2:2/x", {"host": "127.0.0.1,127.0.0.2", "hostaddr": "127.0.0.1,127.0.0.2",
                                                  "port": "1,2"}),
    ("host=/run/postgresql,127.0.0.1 dbname=x", {"host": "/run/postgresql,127.0.0.1", "hostaddr": ",127.0.0.1"}),
    ("host=127.0.0.1,127.0.0.2 port=9", {"host": "127.0.0.1,127.0.0.2", "port": "9,9"}),
])
def test_names_become_numbers(address: str, expected: dict[str, Any]) -> None:
    """The name stays, as whose certificate is expected; sockets in the file system need no number."""
    given = conninfo.conninfo_to_dict(checked_address(address))
    assert {name: given.get(name) for name in expected} == expected


@pytest.mark.parametrize(("name", "value"), [("PGHOST", "2852039166"), ("PGHOSTADDR", "169.254.169.254")])
def test_the_environments_host_is_checked_too(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """libpq would take it where the address names none."""
    monkeypatch.setenv(name, value)
    with pytest.raises(AddressRefused):
        checked_address("dbname=x")


@pytest.mark.parametrize(("address", "sentence"), [
    ("service=reporting", "the address names a service, whose file driftd does not read; write host, port and so on"),
    ("host=127.0.0.1,127.0.0.1 port=1,2,3", "the address names as many ports as hosts, or one"),
    ("host=no.such.host.invalid", "the name of its host is not known"),
    ("host=127.0.0.1,169.254.169.254", "the address leads to a cloud's metadata service, which driftd never calls"),
])
def test_what_cannot_be_checked_is_said(monkeypatch: pytest.MonkeyPatch, address: str, sentence: str) -> None:
    """One sentence that names the table, and nothing is connected to."""
    monkeypatch.setenv("DATABASE", address)
    section = SourceSection(database=Secret("env", "DATABASE"), table="t")
    with pytest.raises(SourceError, match=f"^table t .*: {sentence}"):
        open_source(section, ZoneInfo("UTC")).schema()
