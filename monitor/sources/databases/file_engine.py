"""Databases that are one file."""

from pathlib import Path

from monitor.errors import SourceError
from monitor.sources.databases.engine import Engine, Session
from monitor.sources.extents import Stamp


class FileEngine(Engine):
    @property
    def path(self) -> Path:
        return Path(self.address.partition(":///")[2])

    def require_file(self) -> None:
        """Raises SourceError where there is none: the driver would make one, or say less."""
        if not self.path.is_file():
            raise SourceError(f"{self.origin}: there is no such file, expected a database")

    def secrets(self) -> list[str]:
        return []

    def fingerprint(self, session: Session, table: str) -> object:
        """Return what the file is, and the one beside it that holds what was written lately."""
        beside = (self.path.with_name(f"{self.path.name}{end}") for end in ("-wal", ".wal"))
        return [repr(Stamp.of(path)) for path in (self.path, *beside) if path.exists()]

    def stamp(self, session: Session, table: str, columns: list[str], where: str) -> object:
        return self.fingerprint(session, table)
