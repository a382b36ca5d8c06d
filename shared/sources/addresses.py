"""Which hosts and addresses a source may have: the setting CHART_SOURCE_HOSTS. Pure.

    api.example.com, 10.1.2.3, 10.4.0.0/16

A URL's host must be listed by name or address. The addresses that a listed name resolves to must be public, or listed
themselves: otherwise whoever answers the name's DNS query could lead the app to a machine of its own network, or to the
service that hands out tokens of the app's identity.
"""

import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec

type Address = IPv4Address | IPv6Address

_NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_AZURE_WIRE_SERVER = ipaddress.ip_address("168.63.129.16")
"""Azure's metadata and DNS service of every virtual machine, at an address that counts as public."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Hosts(msgspec.Struct, frozen=True):
    """The entries of the setting: names in lower case, and networks; a single address is a network of one."""

    names: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def has_name(self, host: str) -> bool:
        """Whether a URL may have this host, a name or an address."""
        address = _parsed(host)
        return self._lists(address) if address else host.lower().rstrip(".") in self.names

    def has_address(self, text: str) -> bool:
        """Whether a connection may lead to this address, in the form that a resolver returns."""
        address = _parsed(text)
        return address is not None and (self._lists(address) or is_public(address))

    def _lists(self, address: Address) -> bool:
        return self._has(address) or all(map(self._has, _forms(address)))

    def _has(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def parse_hosts(text: str) -> tuple[Hosts, list[str]]:
    """The setting, and what is wrong with it."""
    names, networks, faults = set(), [], []
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            continue
        except ValueError:
            pass
        if _NAME.fullmatch(entry.rstrip(".")) and not re.fullmatch(r"[0-9.]+", entry):
            names.add(entry.rstrip("."))
        else:
            faults.append(f"CHART_SOURCE_HOSTS: {entry[:80]!r} is neither a host name, an address nor a network")
    return Hosts(frozenset(names), tuple(networks)), faults


def is_local(host: str) -> bool:
    """Whether a URL's host is this machine, so that a secret may travel without TLS."""
    return host in _LOCAL_NAMES


def is_public(address: Address) -> bool:
    """Whether an address is public in each of its forms: no private, link-local, loopback, metadata or other special
    one."""
    return all(form.is_global and not _is_special(form) for form in _forms(address))


def _is_special(address: Address) -> bool:
    """Whether an address is special although it counts as global."""
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_multicast or address.is_reserved or site_local or address == _AZURE_WIRE_SERVER


def _forms(address: Address) -> list[Address]:
    """The address, or the IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour:
        return [address, address.sixtofour]
    return [address, *address.teredo] if address.teredo else [address]


def _parsed(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
