"""Addresses of objects, such as s3://bucket/folder/, and what a section may say of them."""

import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from monitor.config.data_sections import SourceSection
from monitor.config.keys import Key
from monitor.config.values import DATABASE_FILES, SPARK, database_in
from monitor.errors import UsageError

# What may be said of each store; `s3a` and `abfss` are the same stores under their names in Hadoop.
_COMMON = {"endpoint", "space_mb"}
STORES: dict[str, set[str]] = {
    "s3": _COMMON | {"access_key", "secret_key", "session_token", "anonymous", "region"},
    "gs": _COMMON | {"anonymous"},
    "abfs": _COMMON | {"access_key"},
    "https": {"token", "space_mb"},
    "http": {"space_mb"},
}
_ALSO = {"s3a": "s3", "gcs": "gs", "abfss": "abfs"}
_MAGIC = re.compile(r"[*?\[]")


def is_remote(path: str | None) -> bool:
    """Tell whether a path is an address."""
    return path is not None and "://" in path


def absolute(path: str) -> str:
    """Return an absolute path; an address is one already."""
    return path if is_remote(path) else os.path.abspath(path)


def section_of(place: str) -> SourceSection:
    """Return the section of a place that is written as one text on a command line. Raises UsageError."""
    table = database_in(place)
    if table is None and place.startswith((*DATABASE_FILES, *SPARK)):
        raise UsageError(_without_table(place))
    if table is None:
        return SourceSection(path=absolute(place))
    if isinstance(table["database"], str) and table["database"].startswith(DATABASE_FILES):
        scheme, _, path = table["database"].partition(":///")
        table["database"] = f"{scheme}:///{os.path.abspath(path)}"
    return SourceSection.model_validate(table)


def scheme_of(path: str) -> str:
    """Return which kind of store an address names, as one of STORES; another word where it is none."""
    scheme = path.partition("://")[0].lower()
    return _ALSO.get(scheme, scheme)


def wrong(section: SourceSection) -> Iterator[tuple[Key, str]]:
    """Yield what is wrong with a path that is an address, and with how the store is reached."""
    given = {name for name in type(section.storage).model_fields if name in section.storage.model_fields_set}
    if section.path is None or not is_remote(section.path):
        if given:
            yield ("storage",), "goes with an address such as s3://bucket/folder/, expected none for a local path"
        return
    scheme, address = scheme_of(section.path), section.path
    if address.startswith((*DATABASE_FILES, *SPARK)):
        yield ("path",), _without_table(address)
        return
    if scheme not in STORES:
        yield ("path",), f'"{_shown(address)}" is no address that can be read, expected s3://, gs://, abfs:// or https://'
        return
    if text := _unreadable(scheme, address):
        yield ("path",), text
    for name in sorted(given - STORES[scheme]):
        can = ", ".join(sorted(STORES[scheme]))
        yield ("storage", name), f"means nothing for {scheme}://, expected one of {can}"
    if scheme in ("s3", "gs") and re.search("://.*?[/?#].", section.storage.endpoint or ""):
        yield ("storage", "endpoint"), "names more than a host, expected one such as https://minio.example:9000"
    if (section.storage.access_key is None) != (section.storage.secret_key is None) and scheme == "s3":
        yield ("storage",), "expected both, access_key and secret_key, or none of them"


def _without_table(address: str) -> str:
    """What is wrong with the address of a database that stands alone, or with a secret in it."""
    if _shown(address) != address:
        return f"{_shown(address)} holds a secret, expected it in a variable and env:NAME#TABLE in its place"
    return f"{address} names no table, expected {address}#TABLE"


def _shown(address: str) -> str:
    """Return an address without what may be a password or a token."""
    return re.sub(r"//[^/]*@", "//***@", re.sub(r";.*", ";***", address))


def _unreadable(scheme: str, address: str) -> str | None:
    """Why an address of a known scheme cannot be read."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return "is no address"
    if not host:
        return f"names no {'host' if scheme.startswith('http') else 'bucket'}, expected such as {scheme}://NAME/folder/"
    if scheme.startswith("http"):
        if parts.username or parts.password or "?" in address or "#" in address:
            return "expected an address without user, ? and #; a bearer token goes into storage.token"
        return "HTTP cannot list files by a pattern, expected the address of one" if _MAGIC.search(address) else None
    if scheme == "abfs" and (not parts.username or "." not in host):
        return "names no account, expected abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/folder/"
    return "expected an address without user" if scheme != "abfs" and (parts.username or parts.password) else None
