"""Checks of the server, each a function of what INFO (or CONFIG, or CLIENT LIST) says.

`about` is INFO as redis-py parses it. What a server does not tell is no finding: INFO differs from product to product.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from shared.operations.doctor.findings import Finding, error, info, ok, warning
from shared.operations.doctor.products import Product, change_eviction, product_of

OLDEST = (6, 0)
"""The scripts use nothing newer; nothing older is tried."""
FULL_RATIO, NEARLY_FULL_RATIO = 0.95, 0.8
FRAGMENTED_RATIO, FRAGMENTED_MIN_BYTES = 1.5, 100 * 1024 * 1024
SAFE_POLICY = "volatile-ttl"
"""Evicts what ends soonest first: charts (300 s) and caches long before retries (7 d) and phantoms (30 d)."""
USUAL_PUBSUB_LIMIT = "33554432 8388608 60"
"""Redis' default: 32 MB, or 8 MB for 60 s."""

type About = Mapping[str, Any]


def check_version(about: About) -> list[Finding]:
    compatible = str(about.get("redis_version", ""))
    shown = f"Valkey {about['valkey_version']}" if "valkey_version" in about else f"Redis {compatible or '(not told)'}"
    numbers = tuple(int(part) for part in compatible.split(".")[:2] if part.isdigit())
    if len(numbers) < 2 or numbers >= OLDEST:
        return [ok("version", shown)]
    return [
        error(
            "version",
            f"{shown} is older than 6.0",
            "The app's scripts and its connection (ACL users, RESP3) need Redis 6.0.",
            "Move to Redis 6.0 or newer, or to Valkey.",
        )
    ]


def check_cluster(about: About, host: str, *, one_slot: bool = False) -> list[Finding]:
    """`one_slot` says that scripts over keys of several slots are refused: so does a cluster that hides as one server,
    as with Azure Managed Redis' policy EnterpriseCluster."""
    if not about.get("cluster_enabled") and not one_slot:
        return [ok("cluster", "no cluster")]
    if product_of(host) is Product.AZURE_MANAGED:
        fix = (
            "Use a database whose clustering policy is NoCluster (up to 25 GB); the policies OSSCluster and "
            "EnterpriseCluster do not fit."
        )
    else:
        fix = "Use a Redis without clustering (cluster-enabled no; on Azure a cache without shards)."
    return [
        error(
            "cluster",
            "the server is a node of a cluster"
            if about.get("cluster_enabled")
            else "behind this address is a cluster: it refuses a script over two keys (CROSSSLOT)",
            "Key events are published by the node that owns the key, and the trigger subscribes to one node: it "
            "hears of a part of the keys only. The app's scripts use keys of several slots, which a cluster refuses.",
            fix,
        )
    ]


def check_role(about: About) -> list[Finding]:
    if about.get("loading"):
        return [
            error("role", "the server is loading its data", "It answers no command until it is done.", "Wait for it.")
        ]
    if about.get("role") in {"slave", "replica"}:
        return [
            error(
                "role",
                f"a read-only replica of {about.get('master_host', 'another server')}, link "
                f"{about.get('master_link_status', 'not told')}",
                "The app writes results, caches, records and leases: every write is refused (READONLY).",
                "Point the setting Redis at the primary.",
            )
        ]
    return [ok("role", f"primary, {about.get('connected_slaves', 0)} replicas")] if "role" in about else []


def check_persistence(about: About) -> list[Finding]:
    failed = [
        what
        for name, what in (("rdb_last_bgsave_status", "snapshot"), ("aof_last_write_status", "append-only file"))
        if about.get(name, "ok") != "ok"
    ]
    if failed:
        return [
            error(
                "persistence",
                f"the last write of the {' and the '.join(failed)} failed",
                "Redis refuses all writes (MISCONF) until it can write to its disk again.",
                "Look at the server's log and at the space on its disk.",
            )
        ]
    if about.get("aof_enabled"):
        return [ok("persistence", "append-only file is on")]
    now_s = int(about.get("server_time_usec", 0)) / 1e6 or time.time()  # Redis 6.0 does not tell
    if int(about.get("rdb_last_save_time", 0)) > now_s - _uptime_s(about) + 1:
        return [ok("persistence", "no append-only file; snapshots are taken")]
    return [
        info(
            "persistence",
            "no append-only file, and no snapshot since the server started",
            "A restart loses what is in Redis alone: sessions, retries, dead letters, records not yet in storage.",
            "Turn on persistence (Azure Cache for Redis: Premium; Azure Managed Redis: every tier) if that matters.",
        )
    ]


def _uptime_s(about: About) -> int:
    return int(about.get("uptime_in_seconds", 0))


def check_eviction(about: About, host: str) -> list[Finding]:
    policy = str(about.get("maxmemory_policy", ""))
    if not policy:
        return []
    change = change_eviction(host, SAFE_POLICY)
    if policy in {SAFE_POLICY, "noeviction"}:
        return [ok("eviction", f"maxmemory-policy {policy}: the audit stream cannot be evicted")]
    if not policy.startswith("allkeys"):
        return [
            info(
                "eviction",
                f"maxmemory-policy {policy}: the audit stream cannot be evicted, the app's other state can",
                "When memory is full any key with a TTL may go first: retries, dead letters and the last-known state "
                "of sessions as well as charts and caches.",
                f"Better is {SAFE_POLICY}, which evicts what ends soonest first. {change.words}",
                change.commands,
            )
        ]
    why = (
        "When memory is full Redis evicts any key: a batch before it was analysed, live sessions, and the app's own "
        "state: audit records that are not in storage yet, retries, dead letters, the last-known state of sessions. "
        "The sweep makes again what the keyspace still tells; an evicted audit stream is lost, and recorded as a gap."
    )
    fix = (
        f"Set maxmemory-policy to {SAFE_POLICY}: it evicts only keys with a TTL, those that end soonest first, which "
        f"are charts and caches. The audit stream has none. {change.words}"
    )
    if not about.get("maxmemory"):
        return [info("eviction", f"maxmemory-policy {policy}, but memory has no limit", why, fix, change.commands)]
    return [warning("eviction", f"maxmemory-policy {policy} can evict the app's own state", why, fix, change.commands)]


def check_memory(about: About) -> list[Finding]:
    used, limit = int(about.get("used_memory", 0)), int(about.get("maxmemory", 0))
    if not used:
        return []
    findings = [_headroom(used, limit)]
    if evicted := int(about.get("evicted_keys", 0)):
        findings.append(
            warning(
                "evicted",
                f"{evicted} keys were evicted since the server started",
                "Memory was full. Sessions, batches or the app's state may be among them.",
                "Give the Redis more memory, or find what fills it: python manage.py keys stats",
            )
        )
    ratio = float(about.get("mem_fragmentation_ratio", 1))
    excess = int(about.get("used_memory_rss", 0)) - used
    if ratio > FRAGMENTED_RATIO and excess > FRAGMENTED_MIN_BYTES:
        findings.append(
            warning(
                "fragmentation",
                f"{ratio:.1f} times the memory in use is taken from the system ({_mib(excess)} more)",
                "Memory that is fragmented is missing elsewhere; the system may end the server.",
                "CONFIG SET activedefrag yes where the server offers it, or a restart or failover at a quiet time.",
            )
        )
    return findings


def _headroom(used: int, limit: int) -> Finding:
    if not limit:
        return info(
            "memory",
            f"{_mib(used)} used, no limit (maxmemory 0)",
            "Nothing is evicted; the system ends the server when the machine has no memory left.",
            "Set maxmemory on a machine that does other things too.",
        )
    found = f"{_mib(used)} of {_mib(limit)} used ({used / limit:.0%})"
    if used < NEARLY_FULL_RATIO * limit:
        return ok("memory", found)
    make = error if used >= FULL_RATIO * limit else warning
    return make(
        "memory",
        found,
        "When it is full, Redis evicts keys or refuses writes (OOM), depending on maxmemory-policy.",
        "Give the Redis more memory, or find what fills it: python manage.py keys stats",
    )


def check_output_buffer(limits: str | None, clients: Sequence[Mapping[str, str]] | None) -> list[Finding]:
    """`limits` is client-output-buffer-limit, None where it is not told; `clients` those that subscribe, if told."""
    words = (limits or f"pubsub {USUAL_PUBSUB_LIMIT}").split()
    where = words.index("pubsub") if "pubsub" in words else -1
    hard = int(words[where + 1]) if where >= 0 and words[where + 1 :][:1] and words[where + 1].isdigit() else 0
    told = "" if limits is not None else " (Redis' default; the server does not tell its own)"
    shown = f"a subscriber is disconnected at {_mib(hard)} of waiting messages{told}" if hard else "no limit"
    behind = [one for one in clients or () if int(one.get("omem", 0)) > max(hard, 2**25) // 4]
    if behind:
        most = max(int(one["omem"]) for one in behind)
        return [
            warning(
                "output-buffer",
                f"{len(behind)} subscribers are behind, one by {_mib(most)}; {shown}",
                "Who does not read is disconnected; what is published until it is back is left to the sweep.",
                "Look for a host that stands still: CLIENT LIST TYPE PUBSUB tells its address.",
            )
        ]
    return [ok("output-buffer", shown)]


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
