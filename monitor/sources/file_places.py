"""Which kind of place a path names: files, the table of a lake, captures, or objects of a store."""

from zoneinfo import ZoneInfo

from monitor.config.sections import SourceSection
from monitor.config.stores import is_remote
from monitor.sources import Source
from monitor.sources.captures.source import CaptureSource, recognised
from monitor.sources.files import FileSource
from monitor.sources.known_types import KnownTypes
from monitor.sources.lake_tables import Bring, are_there, lake_table


def open_place(section: SourceSection, zone: ZoneInfo, known: KnownTypes) -> Source:
    """Return the source that a section with a path describes."""
    if is_remote(section.path):
        from monitor.sources.remote import RemoteSource

        return RemoteSource(section, lambda copied, bring: _local(copied, zone, known, bring))
    return _local(section, zone, known)


def _local(section: SourceSection, zone: ZoneInfo, known: KnownTypes, bring: Bring = are_there) -> Source:
    table = lake_table(section, zone, known, bring)
    if (family := recognised(section, table)) is not None:
        return CaptureSource(section, zone, known, family, table)
    return table or FileSource(section, zone, known)
