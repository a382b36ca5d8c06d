"""What a reader allows. Each bound is there because a payload can be written by anybody."""

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one reading. A payload past one of them is rejected, or the surplus is counted (metrics)."""

    expanded_bytes: int = 64 * 1024 * 1024
    """After decompression and base64, of all layers together."""
    layers: int = 8
    """Encodings within each other, such as base64 of gzip of JSON."""
    depth: int = 64
    nodes: int = 50_000
    """Objects and lists that are looked into in search of the table."""
    cells: int = 8_000_000
    """Rows times columns."""
    columns: int = 1_024
    metrics: int = 256
    series: int = 64
    points: int = 1_000_000
    name_chars: int = 128


LIMITS = Limits()
