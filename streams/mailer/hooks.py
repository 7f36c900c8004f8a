"""One webhook post: signed, with time-outs, without redirects, and to nowhere inside.

An address is resolved once, judged, and connected to as judged, so that a name cannot turn into another address
between the two. Only `https` to public addresses; with the setting, loopback by `http` as well.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from schemas.errors import ConfigurationError, InvalidRecord
from schemas.mails import Webhook
from streams.mailer.deliveries import Accepted, Delivery, Failed, Outcome
from streams.mailer.outbound import BeforeHandOver
from streams.mailer.rendering import webhook_body
from streams.mailer.signing import signed_headers

_GONE = 410
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
FindWebhook = Callable[[str, str], Webhook | None]
"""The webhook of a workspace and id, as it is configured now."""


def check_url(url: str, *, loopback: bool) -> None:
    """InvalidRecord unless it is an address webhooks may be posted to, as far as the text tells."""
    allowed = ("https", "http") if loopback else ("https",)
    try:
        parts, (host, _, _) = urlsplit(url), _server(url)
        host.encode("idna")  # as the resolver will: a label that is empty or too long is no name
        fits = parts.scheme in allowed and host and parts.port != 0 and not (parts.username or parts.fragment)
    except (ValueError, httpx.InvalidURL):
        fits = False
    if not fits:
        rule = f"an absolute {' or '.join(allowed)} address without user and fragment"
        raise InvalidRecord("invalid_field", "url", url[:200], rule, "webhooks cannot be posted there")


def _server(url: str) -> tuple[str, int, str]:
    """Host (as it is looked up: of an international name the ASCII form), port, and what stands in `Host`."""
    target = httpx.URL(url)
    port = target.port if target.port is not None else 443 if target.scheme == "https" else 80
    return target.raw_host.decode("ascii"), port, target.netloc.decode("ascii")


async def judged_address(host: str, port: int, *, loopback: bool) -> str | None:
    """An address of the host to connect to, or None when it is not one for webhooks. OSError when it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]
    # All of them must do: the system may choose any.
    fit = [(loopback and address.is_loopback) or _is_public(address) for address in addresses]
    return str(addresses[0]) if fit and all(fit) else None


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is an address of the public network, and so is the IPv4 address that a gateway would make of it."""
    inner = None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return (inner or address).is_global and not address.is_multicast


class WebhookCarrier:
    """Posts to the webhooks of workspaces."""

    def __init__(self, find: FindWebhook, timeout_seconds: float, *, loopback: bool) -> None:
        self._find, self._loopback = find, loopback
        self._timeout = timeout_seconds
        self._client = httpx.AsyncClient(
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=False,  # no proxy from the environment: the judged address is the one connected to
            limits=httpx.Limits(max_keepalive_connections=0),  # a kept one may be another name's at the same address
        )

    async def close(self) -> None:
        """Close what is kept open."""
        await self._client.aclose()

    async def carry(self, delivery: Delivery, before_hand_over: BeforeHandOver) -> Outcome:
        """See `Carrier.carry`."""
        hook = self._find(delivery.notice.workspace, delivery.webhook_id)
        if hook is None or hook.url != delivery.recipient:
            return Failed("the webhook has been removed", "gone")
        body = webhook_body(delivery)
        try:
            check_url(hook.url, loopback=self._loopback)
            headers = signed_headers(hook.secret, delivery.delivery_id, int(time.time()), body)
        except (InvalidRecord, ConfigurationError) as error:
            return Failed(str(error), "bad_address")
        host, port, named = _server(hook.url)
        try:
            address = await judged_address(host, port, loopback=self._loopback)
        except OSError as error:
            return Failed(f"{host}: {error}")
        if address is None:
            return Failed(f"{host} is not a public address", "bad_address")
        judged = httpx.URL(hook.url).copy_with(host=address)
        if judged.scheme == "http" and not ipaddress.ip_address(address).is_loopback:
            return Failed("http is for loopback only", "bad_address")
        await before_hand_over()
        request = self._client.build_request(
            "POST", judged, content=body, extensions={"sni_hostname": host},
            headers={**headers, "host": named, "content-type": "application/json", "user-agent": "Quarterhour"},
        )  # fmt: skip
        return await self._post(request)

    async def _post(self, request: httpx.Request) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout):  # over all, against one who answers a byte at a time
                answer = await self._client.send(request, stream=True)
                await answer.aclose()  # what it says besides its status is nobody's business
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            plain = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            return Failed(f"{type(error).__name__}: {error}", uncertain=not plain)
        said = f"{answer.status_code} {answer.reason_phrase}"
        if answer.is_success:
            return Accepted(said)
        return Failed(said, "gone" if answer.status_code == _GONE else None)
