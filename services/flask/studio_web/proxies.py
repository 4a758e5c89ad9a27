"""Who the client is, when proxies stand before us: what a proxy says counts only where its address is trusted."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """WSGI middleware that sets `REMOTE_ADDR` to the client's address and `wsgi.url_scheme` to the client's scheme.

    `networks` are CIDRs separated by commas. From a peer outside of them `X-Forwarded-For` and `X-Forwarded-Proto` say
    nothing. From one inside, the client is the rightmost hop that is not trusted itself: whatever stands left of it is the
    client's own word. Raises ValueError naming what is no CIDR.
    """

    def __init__(self, application: Callable, networks: str = ""):
        self._application = application
        self._networks = [_network(text) for text in networks.replace(",", " ").split()]

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        peer = address_of(environ.get("REMOTE_ADDR", ""))
        scheme = "http"
        if peer is not None and self._trusted(peer):
            peer = self._client(peer, environ.get("HTTP_X_FORWARDED_FOR", ""))
            # With several values the last is of the proxy that we trust, the others of whoever stood before it.
            told = environ.get("HTTP_X_FORWARDED_PROTO", "").rsplit(",", 1)[-1].strip().lower()
            scheme = told if told in ("http", "https") else scheme
        environ["REMOTE_ADDR"] = str(peer or "")
        environ["wsgi.url_scheme"] = scheme
        return self._application(environ, start_response)

    def _client(self, peer: Address, forwarded_for: str) -> Address:
        for hop in reversed(forwarded_for.split(",")):
            told = address_of(hop)
            if told is None:
                return peer  # a proxy that can't say for whom it speaks speaks for itself
            peer = told
            if not self._trusted(peer):
                break
        return peer

    def _trusted(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def address_of(text: str) -> Address | None:
    """An IP address as proxies write it, also with a port; IPv4 inside of IPv6 as IPv4. None for anything else."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def neighbourhood(address: str) -> str:
    """What one client holds: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = address_of(address)
    if parsed is None:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"TRUSTED_PROXIES: {text!r} is no network; one looks like 10.42.0.0/16") from None
