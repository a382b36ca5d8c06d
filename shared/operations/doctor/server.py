"""Checks of the server, each a function of the reply of INFO (or CONFIG, or CLIENT LIST).

`info` is INFO as redis-py parses it; its fields differ between products, and a field that is missing is not a finding.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from shared.operations import redis_users
from shared.operations.doctor.findings import Finding, error, info, ok, warning
from shared.operations.doctor.products import Product, change_eviction, product_of, redis_cli
from shared.store.connection import ConnectionOptions
from shared.words import counted

OLDEST = (6, 0)
"""Oldest version that the app supports; the scripts use no newer commands."""
FULL_RATIO, NEARLY_FULL_RATIO = 0.95, 0.8
FRAGMENTED_RATIO, FRAGMENTED_MIN_BYTES = 1.5, 100 * 1024 * 1024
SAFE_POLICY = "volatile-ttl"
"""Evicts keys with the shortest TTL first: charts (300 s) and caches long before retries (7 d) and phantoms (30 d)."""
USUAL_PUBSUB_LIMIT = "33554432 8388608 60"
"""Redis' default: 32 MB, or 8 MB for 60 s."""

type Info = Mapping[str, Any]


def check_version(server_info: Info) -> list[Finding]:
    compatible = str(server_info.get("redis_version", ""))
    shown = (
        f"Valkey {server_info['valkey_version']}"
        if "valkey_version" in server_info
        else f"Redis {compatible or '(version not shown)'}"
    )
    if redis_users.version(server_info) >= OLDEST:
        return [ok("version", shown)]
    return [
        error(
            "version",
            f"{shown} is older than 6.0",
            "The app's scripts and its connection (ACL users, RESP3) need Redis 6.0.",
            "Upgrade to Redis 6.0 or newer, or to Valkey.",
        )
    ]


def check_cluster(server_info: Info, host: str, *, one_slot: bool = False) -> list[Finding]:
    """`one_slot`: the server refuses scripts over keys of several slots, as a cluster behind a single address does
    (Azure Managed Redis with the policy EnterpriseCluster)."""
    if not server_info.get("cluster_enabled") and not one_slot:
        return [ok("cluster", "no cluster")]
    if product_of(host) is Product.AZURE_MANAGED:
        fix = (
            "Use a database whose clustering policy is NoCluster (up to 25 GB); the policies OSSCluster and "
            "EnterpriseCluster are not supported."
        )
    else:
        fix = "Use a Redis without clustering (cluster-enabled no; on Azure a cache without shards)."
    return [
        error(
            "cluster",
            "the server is a node of a cluster"
            if server_info.get("cluster_enabled")
            else "a cluster is behind this address: it refuses a script over two keys (CROSSSLOT)",
            "Key events are published by the node that owns the key, and the trigger subscribes to one node: it "
            "receives events of some keys only. The app's scripts use keys of several slots, which a cluster refuses.",
            fix,
        )
    ]


def check_role(server_info: Info) -> list[Finding]:
    if server_info.get("loading"):
        return [
            error("role", "the server is loading its data", "It answers no commands until it is done.", "Wait for it.")
        ]
    if server_info.get("role") in {"slave", "replica"}:
        return [
            error(
                "role",
                f"a read-only replica of {server_info.get('master_host', 'another server')}, link "
                f"{server_info.get('master_link_status', 'unknown')}",
                "The app writes results, caches, records and leases: every write is refused (READONLY).",
                "Point the setting Redis at the primary.",
            )
        ]
    return (
        [ok("role", f"primary, {counted(int(server_info.get('connected_slaves', 0)), 'replica')}")]
        if "role" in server_info
        else []
    )


def check_persistence(server_info: Info) -> list[Finding]:
    failed = [
        what
        for name, what in (("rdb_last_bgsave_status", "snapshot"), ("aof_last_write_status", "append-only file"))
        if server_info.get(name, "ok") != "ok"
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
    if server_info.get("aof_enabled"):
        return [ok("persistence", "append-only file is on")]
    now_s = int(server_info.get("server_time_usec", 0)) / 1e6 or time.time()  # not in Redis 6.0
    if int(server_info.get("rdb_last_save_time", 0)) > now_s - _uptime_s(server_info) + 1:
        return [ok("persistence", "no append-only file; snapshots are taken")]
    return [
        info(
            "persistence",
            "no append-only file, and no snapshot since the server started",
            "A restart loses sessions, retries, dead letters and audit records that are not in storage yet.",
            "Turn on persistence (Azure Cache for Redis: Premium; Azure Managed Redis: every tier) if that matters.",
        )
    ]


def _uptime_s(server_info: Info) -> int:
    return int(server_info.get("uptime_in_seconds", 0))


def check_eviction(server_info: Info, options: ConnectionOptions) -> list[Finding]:
    policy = str(server_info.get("maxmemory_policy", ""))
    if not policy:
        return []
    change = change_eviction(options, SAFE_POLICY)
    if policy in {SAFE_POLICY, "noeviction"}:
        return [ok("eviction", f"maxmemory-policy {policy}: the audit stream cannot be evicted")]
    if not policy.startswith("allkeys"):
        return [
            info(
                "eviction",
                f"maxmemory-policy {policy}: the audit stream cannot be evicted, the app's other state can",
                "When memory is full, any key with a TTL may be evicted: retries, dead letters and the last-known "
                "state of sessions as well as charts and caches.",
                f"Use {SAFE_POLICY}, which evicts keys with the shortest TTL first. {change.words}",
                change.commands,
            )
        ]
    why = (
        "When memory is full Redis evicts any key: a batch before it was analysed, live sessions, and the app's own "
        "state: audit records that are not in storage yet, retries, dead letters, the last-known state of sessions. "
        "The sweep restores effects of keys that still exist; an evicted audit stream is lost, and recorded as a gap."
    )
    fix = (
        f"Set maxmemory-policy to {SAFE_POLICY}: it evicts only keys with a TTL, the shortest first: charts and "
        f"caches. The audit stream has no TTL. {change.words}"
    )
    if not server_info.get("maxmemory"):
        return [info("eviction", f"maxmemory-policy {policy}, but memory has no limit", why, fix, change.commands)]
    return [warning("eviction", f"maxmemory-policy {policy} can evict the app's own state", why, fix, change.commands)]


def check_memory(server_info: Info, options: ConnectionOptions) -> list[Finding]:
    used, limit = int(server_info.get("used_memory", 0)), int(server_info.get("maxmemory", 0))
    if not used:
        return []
    findings = [_headroom(used, limit)]
    if evicted := int(server_info.get("evicted_keys", 0)):
        findings.append(
            warning(
                "evicted",
                f"since the server started, {counted(evicted, 'key')} evicted",
                "Memory was full. Sessions, batches or the app's state may have been evicted.",
                "Add memory, or find the largest kinds of keys: python3 manage.py keys stats",
            )
        )
    ratio = float(server_info.get("mem_fragmentation_ratio", 1))
    excess = int(server_info.get("used_memory_rss", 0)) - used
    if ratio > FRAGMENTED_RATIO and excess > FRAGMENTED_MIN_BYTES:
        findings.append(
            warning(
                "fragmentation",
                f"Redis takes {ratio:.1f} times its memory in use from the system ({_mib(excess)} more)",
                "Fragmented memory is not usable by others; the system may kill the server.",
                "Defragment where the server supports it, or restart or fail over at a quiet time.",
                (redis_cli(options, "CONFIG", "SET", "activedefrag", "yes"),)
                if product_of(options.host) is Product.PLAIN
                else (),
            )
        )
    return findings


def _headroom(used: int, limit: int) -> Finding:
    if not limit:
        return info(
            "memory",
            f"{_mib(used)} used, no limit (maxmemory 0)",
            "Nothing is evicted; the system kills the server when the machine runs out of memory.",
            "Set maxmemory if the machine runs other programs too.",
        )
    usage = f"{_mib(used)} of {_mib(limit)} used ({used / limit:.0%})"
    if used < NEARLY_FULL_RATIO * limit:
        return ok("memory", usage)
    make = error if used >= FULL_RATIO * limit else warning
    return make(
        "memory",
        usage,
        "When it is full, Redis evicts keys or refuses writes (OOM), depending on maxmemory-policy.",
        "Add memory, or find the largest kinds of keys: python3 manage.py keys stats",
    )


def check_output_buffer(
    limits: str | None, clients: Sequence[Mapping[str, str]] | None, options: ConnectionOptions
) -> list[Finding]:
    """`limits` is client-output-buffer-limit, `clients` are the subscribers; None where the server does not show
    them."""
    words = (limits or f"pubsub {USUAL_PUBSUB_LIMIT}").split()
    where = words.index("pubsub") if "pubsub" in words else -1
    hard = int(words[where + 1]) if where >= 0 and words[where + 1 :][:1] and words[where + 1].isdigit() else 0
    source = "" if limits is not None else " (Redis' default; the server does not show its own)"
    limit = f"a subscriber is disconnected at {_mib(hard)} of waiting messages{source}" if hard else "no limit"
    behind = [client for client in clients or () if int(client.get("omem", 0)) > max(hard, 2**25) // 4]
    if behind:
        most = max(int(client["omem"]) for client in behind)
        return [
            warning(
                "output-buffer",
                f"behind: {counted(len(behind), 'subscriber')}, one by {_mib(most)}; {limit}",
                "Redis disconnects a subscriber that does not read; only the sweep finds changes until it is back.",
                "Find the host that does not respond, by its address:",
                (redis_cli(options, "CLIENT", "LIST", "TYPE", "PUBSUB"),),
            )
        ]
    return [ok("output-buffer", limit)]


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
