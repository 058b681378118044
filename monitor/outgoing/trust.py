"""Which certificates are trusted: the system's store, as OpenSSL finds it, in one way for everything.

SSL_CERT_FILE or SSL_CERT_DIR name another; so do REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE, where the former are not set.
"""

import os
import ssl
from functools import lru_cache
from pathlib import Path

from monitor.untrusted import require_file

_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def context(ca: Path | None = None) -> ssl.SSLContext:
    """What a TLS connection is made with; `ca` is trusted instead of the store. Raises OSError where it is no file."""
    place = str(ca) if ca else store()
    try:
        if os.path.isdir(place):
            return ssl.create_default_context(capath=place)
        require_file(Path(place))
        found = os.stat(place)
        return _of_file(place, (found.st_ino, found.st_size, found.st_mtime_ns))
    except ssl.SSLError:
        raise OSError(f"{place} holds no certificates, expected PEM") from None
    except OSError as error:
        raise OSError(f"the certificates in {place} cannot be read: {str(error.strerror).lower()}") from None


@lru_cache(maxsize=8)
def _of_file(place: str, stamp: tuple[int, int, int]) -> ssl.SSLContext:
    """The context of a file as it is now: reading a store takes longer than most requests."""
    return ssl.create_default_context(cafile=place)


def store() -> str:
    """The file or folder of the certificates that are trusted; certifi's where this machine has none."""
    if named := next((os.environ[name] for name in _FILES if os.environ.get(name)), None):
        return named
    usual = ssl.get_default_verify_paths()
    folders = (os.environ.get("SSL_CERT_DIR") or usual.openssl_capath).split(os.pathsep)
    files = [] if os.environ.get("SSL_CERT_DIR") else [usual.openssl_cafile]
    found = next((place for place in (*files, *folders) if os.path.exists(place)), None)
    if found is None:
        import certifi

        return certifi.where()
    return found


def tell_requests() -> None:
    """Let whatever uses `requests` by itself in this process (plugins for messages, SDKs) trust the same."""
    os.environ["REQUESTS_CA_BUNDLE"] = store()
