"""The same rows in every encoding, and in combinations of encodings: binary."""

import msgpack
import msgspec
from kit import iso, lib, table, wide

from codings.readings import FRAME, RECORDS, TRUTH, theme

dated = [{**record, "ts": FRAME["ts"][i].to_pydatetime()} for i, record in enumerate(RECORDS)]
theme.add(
    "bc",
    "msgpack with timestamp extension",
    f"{lib('msgpack')} packb(datetime=True)",
    msgpack.packb(dated, datetime=True),
    TRUTH,
)
theme.add(
    "b",
    "msgpack, single floats",
    f"{lib('msgpack')} packb(use_single_float=True)",
    msgpack.packb(
        [{"ts": iso(row.ts), "t": row.t} for row in table({"t": [0.5 * i for i in range(12)]}).itertuples()],
        use_single_float=True,
    ),
    wide(table({"t": [0.5 * i for i in range(12)]})),
)
theme.add(
    "c",
    "msgpack, old raw strings",
    f"{lib('msgpack')} packb(use_bin_type=False)",
    msgpack.packb({"rows": RECORDS}, use_bin_type=False),
    TRUTH,
)
theme.add(
    "b",
    "msgpack with names as bytes",
    f"{lib('msgpack')} packb of bytes",
    msgpack.packb([{name.encode(): value for name, value in record.items()} for record in RECORDS]),
    TRUTH,
)
theme.add(
    "c",
    "msgpack columns",
    f"{lib('msgspec')} msgpack.encode",
    msgspec.msgpack.encode({name: [record[name] for record in RECORDS] for name in FRAME.columns}),
    TRUTH,
)
theme.add(
    "b",
    "msgpack stream of rows",
    f"{lib('msgpack')} Packer, one object after another",
    b"".join(msgpack.packb(record) for record in RECORDS),
    TRUTH,
    or_refuse=True,
    doubt="Objects one after another are no single document; a refusal is allowed, the first row alone is wrong.",
)
