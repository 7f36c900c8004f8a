"""Whether a request comes from a web page, which no door serves.

There is no authentication: what keeps strangers out is that the doors listen on loopback. But every page that a person
of this machine opens may send a POST to `http://127.0.0.1:PORT/`, and a page whose name comes to mean 127.0.0.1 may
read the answers too. Browsers tell of both: by `Origin`, by `Sec-Fetch-Site`, and by the name in `Host`. Programs
send none of the first two, and call this machine `localhost` or by address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from projections.embedded.errors import ClickHouseError, refusal

_OWN_SITES = ("", "none", "same-origin")
_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback")
"""As systems write them into their hosts file; no name server gives them to a stranger."""


def web_page(headers: Mapping[str, str], *, is_local: bool) -> ClickHouseError | None:
    """The refusal of what a web page sends; None for all else. Header names are in lower case.

    `is_local`: the door listens on loopback, so only this machine's own names lead to it.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if origin is not None and not _is_at(origin, host):
        return _refused("Origin", origin)
    if headers.get("sec-fetch-site", "").lower() not in _OWN_SITES:
        return _refused("Sec-Fetch-Site", headers["sec-fetch-site"])
    if is_local and host and not _is_of_this_machine(host):
        return _refused("Host", host)
    return None


def _refused(header: str, value: str) -> ClickHouseError:
    return refusal("ACCESS_DENIED", f"Web pages are not served: {header} is {value[:200]!r}.")


def _is_at(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _is_of_this_machine(host: str) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
