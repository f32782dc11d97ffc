"""Which addresses messages may be sent to: public ones, and those of networks that a setting names.

A name is resolved by us, checked, and connected to by the address that was checked: so a name that resolves to another
address a moment later (DNS rebinding) leads nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Final

from ...domain.access import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, for a port. Raises OSError if there are none."""

_NAT64: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""Addresses that stand for those of IPv4, which their last 32 bits are."""


_PUBLIC_IPV6: Final = ipaddress.ip_network("2000::/3")
"""All that is given to the public so far; others that are old or reserved count as global for Python."""


class AddressRefused(Exception):
    """No address of a host may be sent to. The message names one of them."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host.

    A thread of its own does it, for as long as the resolver takes: those of the event loop are few, and a name server
    that is silent would keep them from the database. It does not keep the process from ending.

    Raises:
        OSError: there are none.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[str]] = loop.create_future()

    def finish(result: Sequence[str] | OSError) -> None:
        if found.done():
            return
        if isinstance(result, OSError):
            found.set_exception(result)
        else:
            found.set_result(result)

    def work() -> None:
        result: Sequence[str] | OSError
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            result = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError) as error:
            result = error if isinstance(error, OSError) else OSError(str(error))
        with suppress(RuntimeError):  # the loop is closed: nothing waits for it any more
            loop.call_soon_threadsafe(finish, result)

    Thread(target=work, name="resolver", daemon=True).start()
    return await found


def allowed(addresses: Sequence[str], networks: Sequence[Network], *, is_encrypted: bool) -> Sequence[str]:
    """Return those of the addresses of a host that may be sent to; without encryption only those of `networks`.

    Raises:
        AddressRefused: none may.
    """
    found = [text for text in addresses if _may_be_sent_to(text, networks, is_encrypted=is_encrypted)]
    if not found:
        shown = addresses[0] if addresses else "no address"
        what = "not public" if is_encrypted else "not one that may be sent to without encryption"
        raise AddressRefused(f"resolves to {shown}, which is {what}: WEBHOOK_NETWORKS allows it")
    return found


def _may_be_sent_to(text: str, networks: Sequence[Network], *, is_encrypted: bool) -> bool:
    try:
        address = _plain(ipaddress.ip_address(text))
    except ValueError:  # such as one with a zone, which is link-local
        return False
    if any(address in network for network in networks):
        return True
    if address.version == 6 and address not in _PUBLIC_IPV6:
        return False
    return is_encrypted and address.is_global and not address.is_multicast


def _plain(address: Address) -> Address:
    """Return the address of IPv4 that one of IPv6 stands for, which routers and gateways take it for."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address
