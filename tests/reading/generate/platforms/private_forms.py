"""Shapes of Redis that any client writes, and forms that other platforms' caches are known to use: private forms."""

import json
import struct

from platforms.readings import ROWS, TRUTH, theme

documents = json.dumps(ROWS)
theme.add(
    "b",
    "Spring Data Redis hash repository",
    "Spring Data Redis, hash mapping of object trees",
    [
        part
        for i, row in enumerate(ROWS[:4])
        for name, value in row.items()
        for part in (f"readings.[{i}].{name}", value)
    ]
    + ["_class", "com.plant.Batch", "id", "b-1"],
    {name: points[:4] for name, points in TRUTH.items()},
    shape="hash",
    or_refuse=True,
    doubt="Paths as field names; a refusal is allowed, twelve series of one value are a misreading.",
)
theme.add(
    "c",
    "IDistributedCache in a JSON envelope with ticks",
    "EasyCaching CacheValue",
    {"Value": ROWS, "Expiration": 639046908000000000, "HasValue": True},
    TRUTH,
)
theme.add(
    "b",
    "Laravel cache of JSON text",
    "Laravel cache, PHP serialize of a string",
    f's:{len(documents)}:"{documents}";',
    TRUTH,
    or_refuse=True,
    doubt="PHP serialisation around JSON: a refusal is allowed.",
)
theme.add(
    "c",
    "FastAPI cache decorator",
    "fastapi-cache2 JsonCoder",
    json.dumps({"items": ROWS, "ttl": 60, "etag": "W/9"}),
    TRUTH,
)
theme.add(
    "b",
    "length prefix before JSON",
    "home-made framing",
    struct.pack(">I", len(documents)) + documents.encode(),
    None,
    refuse="",
    doubt="Four bytes before JSON. Reading it would need a guess.",
)
