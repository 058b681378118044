"""TLS for the listener, from the files that the web configuration names."""

import ssl

from monitor.config.web_file import TlsSection
from monitor.errors import ConfigError
from monitor.untrusted import require_file

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CHECKS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def tls_context(section: TlsSection, named: str) -> ssl.SSLContext:
    """Read certificate, key and authority; `named` is the file that names them. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSIONS[section.min_version], _VERSIONS[section.max_version]
    try:
        for path in (section.cert_file, section.key_file):
            require_file(path)
        # without a password a key that is encrypted would ask for one on the terminal
        context.load_cert_chain(section.cert_file, section.key_file, password=lambda: "")
    except OSError as error:
        pair = f"{section.cert_file} and {section.key_file}"
        raise _wrong(named, pair, error, "a certificate and its key, unencrypted, in PEM") from None
    if section.client_ca_file is not None:
        try:
            require_file(section.client_ca_file)
            context.load_verify_locations(section.client_ca_file)
        except OSError as error:
            raise _wrong(named, str(section.client_ca_file), error, "the authority's certificates in PEM") from None
    context.verify_mode = _CHECKS[section.client_certificate]
    return context


def _wrong(named: str, files: str, error: OSError, expected: str) -> ConfigError:
    return ConfigError([f"{named}: tls_server_config: {files}: {_why(error)}, expected {expected}"])


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return {
            "KEY_VALUES_MISMATCH": "the key is another certificate's", "NO_CERTIFICATE_OR_CRL_FOUND": "no certificate",
        }.get(str(error.reason), "cannot be parsed")
    return f"cannot be read: {error.strerror}"
