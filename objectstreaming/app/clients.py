"""Who a request is from: the address that limits count by.

A connection's own address cannot be chosen by the client. `X-Forwarded-For` can: a client may send any. So it counts
only where a trusted proxy has sent it, and only as far as trusted proxies have written it: each of them appends the
address that it saw (RFC 7239 section 5.2 for the standard header; X-Forwarded-For works the same way).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

from starlette.datastructures import Headers
from starlette.types import Scope

__all__ = ["Clients"]

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Clients:
    """Names the client of a request. `proxies`: addresses and networks whose `X-Forwarded-For` counts; "*": all.

    Raises `ValueError` for what is no address or network.

    >>> clients = Clients(["10.0.0.0/8"])
    >>> clients.name({"type": "http", "client": ("10.0.0.1", 5), "headers": [(b"x-forwarded-for", b"::1, 192.0.2.7")]})
    '192.0.2.7'
    >>> clients.name({"type": "http", "client": ("192.0.2.7", 5), "headers": [(b"x-forwarded-for", b"10.9.9.9")]})
    '192.0.2.7'
    """

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        proxies = [proxy.strip() for proxy in proxies]
        self._all = "*" in proxies
        self._networks = [ipaddress.ip_network(proxy, strict=False) for proxy in proxies if proxy != "*"]

    def name(self, scope: Scope) -> str:
        """The client's address; for IPv6 its /64, because one client has all addresses of it."""
        peer = scope.get("client")
        if not peer:
            return ""
        address = _address(peer[0])
        if address is None:
            return str(peer[0])  # a socket without addresses, or a test
        if self._trusts(address):
            # From the right: what stands left of the first address that is not a proxy's, the client may have written.
            for entry in reversed(",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")):
                found = _address(entry)
                if found is None:
                    break
                address = found
                if not self._trusts(address):
                    break
        return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)

    def is_proxy(self, peer: str) -> bool:
        """Whether this is the address of a proxy that is trusted."""
        address = _address(peer)
        return address is not None and self._trusts(address)

    def _trusts(self, address: _Address) -> bool:
        return self._all or any(address in network for network in self._networks)


def _address(text: str) -> _Address | None:
    """An address, with or without a port behind it: `192.0.2.7:80`, `[2001:db8::1]:80`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
