"""Which kind of place a path names: files, or the table of a lake."""

from zoneinfo import ZoneInfo

from monitor.config.sections import SourceSection
from monitor.errors import NotInThisVersion
from monitor.sources import Source
from monitor.sources.files import FileSource
from monitor.sources.known_types import KnownTypes
from monitor.sources.lake_tables import lake_table


def open_place(section: SourceSection, zone: ZoneInfo, known: KnownTypes) -> Source:
    """Return the source that a section with a path describes."""
    if "://" in str(section.path):
        raise NotInThisVersion(f"{section.path}: object stores are not in this version, expected a file, a glob or a "
                               "folder")
    return lake_table(section, zone, known) or FileSource(section, zone, known)
