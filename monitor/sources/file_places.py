"""Which kind of place a path names: files, the table of a lake, or objects of a store."""

from zoneinfo import ZoneInfo

from monitor.config.sections import SourceSection
from monitor.config.stores import is_remote
from monitor.sources import Source
from monitor.sources.files import FileSource
from monitor.sources.known_types import KnownTypes
from monitor.sources.lake_tables import Bring, lake_table


def open_place(section: SourceSection, zone: ZoneInfo, known: KnownTypes) -> Source:
    """Return the source that a section with a path describes."""
    if is_remote(section.path):
        from monitor.sources.remote import RemoteSource

        def local(section: SourceSection, bring: Bring) -> Source:
            return lake_table(section, zone, known, bring) or FileSource(section, zone, known)

        return RemoteSource(section, local)
    return lake_table(section, zone, known) or FileSource(section, zone, known)
