"""Compressed text files: gzip and zstd are unpacked as they are read, up to a limit; what is no text is named."""

import re
from pathlib import Path

import pyarrow as pa

from monitor.errors import SourceError

MOST = 1 << 30                   # bytes that one file may unpack to
_STEP = 1 << 20
_READ = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_SKIPPED = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)      # which pzstd and others write before zstd's frames
_NO_TEXT = {
    b"PAR1": "Parquet", b"ORC": "ORC", b"ARROW1": "Arrow (Feather)", b"FEA1": "Feather", b"\xff\xff\xff\xff": "Arrow",
    b"Obj\x01": "Avro", b"SQLite format 3": "SQLite", b"\xd0\xcf\x11\xe0": "Excel", b"\x89HDF": "HDF5",
}
_FORMATS = {"Parquet": "parquet", "ORC": "orc", "Arrow": "arrow", "Arrow (Feather)": "arrow"}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_NOT_READ = {b"PK\x03\x04": "zip", b"\xfd7zXZ\x00": "xz", b"\x04\x22\x4d\x18": "lz4", b"7z\xbc\xaf\x27\x1c": "7z"}


def compression(head: bytes, path: Path) -> str | None:
    """Return how a file that begins with `head` is packed, whatever its name; None if it is not.

    Raises SourceError if it is packed in a way that is not read.
    """
    other = "bzip2" if head[:3] == b"BZh" and head[4:10] == b"1AY&SY" else None
    other = other or next((name for magic, name in _NOT_READ.items() if head.startswith(magic)), None)
    if other:
        raise SourceError(f"{path}: is compressed ({other}), expected plain text, gzip or zstd; unpack it")
    binary = next((name for magic, name in _NO_TEXT.items() if head.startswith(magic)), None)
    if binary and _CONTROL.search(head):             # a text may begin with these letters
        format = _FORMATS.get(binary)
        what = f'set format = "{format}"' if format else "write Parquet, CSV or JSON lines"
        raise SourceError(f"{path}: is a file of {binary}, expected text; {what}")
    if _SKIPPED.match(head):
        return "zstd"
    return next((name for magic, name in _READ.items() if head.startswith(magic)), None)


def unpacked(data: bytes, path: Path, most: int | None = None) -> bytes:
    """Return the text of a file that may be packed. `most`: only about so much of its beginning.

    Raises SourceError if it is damaged, unfinished, or unpacks to more than 1 GiB.
    """
    kind = compression(data[:16], path)
    if kind is None:
        return data
    parts, size = [], 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), kind) as stream:
            while part := stream.read(_STEP):
                parts.append(part)
                size += len(part)
                if most is not None and size >= most:
                    break
                if size > MOST:
                    raise SourceError(f"{path}: unpacks to more than {MOST >> 20} MiB, expected smaller files; "
                                      "split it, or write Parquet")
    except OSError:
        if most is not None and parts:
            return _text(b"".join(parts), path)
        raise SourceError(f"{path}: is not a complete {kind} file; write it to a name ending in .tmp, then rename, or "
                          "remove it") from None
    return _text(b"".join(parts), path)


def _text(data: bytes, path: Path) -> bytes:
    if kind := compression(data[:16], path):
        raise SourceError(f"{path}: is packed twice ({kind} within), expected once; unpack it")
    return data
