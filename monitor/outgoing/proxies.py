"""Which proxy an address is reached through: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, in lower case too.

Read as `requests` reads them, so that it is one way for what is sent here and for what plugins for messages send.
"""

from urllib.parse import urlsplit


def proxy_of(url: str) -> str | None:
    """The proxy's address, None where there is none. Raises ValueError where driftd cannot use it."""
    from requests.utils import get_environ_proxies, select_proxy

    named: str | None = select_proxy(url, get_environ_proxies(url))
    if not named:
        return None
    proxy = named if "://" in named else f"http://{named}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise ValueError("the proxy in the environment is none for HTTP, expected http://HOST:PORT")
    return proxy
