"""The same rows in every encoding, and in combinations of encodings: json writers."""

import json

import orjson
import simplejson
import ujson
from kit import lib, wide

from codings.readings import FRAME, RECORDS, TRUTH, theme

text = json.dumps(RECORDS)
theme.add("b", "BOM before JSON", "Python 3.13 utf-8-sig", text.encode("utf-8-sig"), TRUTH)
theme.add(
    "c",
    "JSON with unescaped names",
    "Python 3.13 json.dumps ensure_ascii=False",
    json.dumps(RECORDS, ensure_ascii=False, indent=2),
    TRUTH,
)
theme.add(
    "c",
    "JSON in UTF-16 with BOM",
    "PowerShell 5 Out-File",
    text.encode("utf-16"),
    TRUTH,
    or_refuse=True,
    doubt="UTF-16 is no JSON by RFC 8259; reading it is welcome, refusing it is allowed.",
)
theme.add("b", "orjson", f"{lib('orjson')} dumps", orjson.dumps(RECORDS, option=orjson.OPT_INDENT_2), TRUTH)
theme.add(
    "c",
    "ujson with escaped slashes",
    f"{lib('ujson')} dumps",
    ujson.dumps({"readings": RECORDS, "source": "line/1"}, escape_forward_slashes=True),
    TRUTH,
)
theme.add(
    "b",
    "simplejson of Decimals as text",
    f"{lib('simplejson')} dumps",
    simplejson.dumps(
        [{name: value if name == "ts" else f"{value:.4f}" for name, value in record.items()} for record in RECORDS]
    ),
    TRUTH,
)
theme.add(
    "bc",
    "JSON text in JSON below a member",
    "Python 3.13 json.dumps twice",
    json.dumps({"batchId": "b-71", "payload": text}),
    TRUTH,
)
theme.add("c", "JSON three times", "Python 3.13 json.dumps three times", json.dumps(json.dumps(text)), TRUTH)
theme.add(
    "b",
    "list of JSON texts in JSON",
    "Python 3.13 json.dumps of json.dumps",
    json.dumps([json.dumps(record) for record in RECORDS]),
    TRUTH,
)
theme.add(
    "c",
    "JSON lines, CRLF and empty last line",
    "line-delimited log",
    "\r\n".join(json.dumps(record) for record in RECORDS) + "\r\n\r\n",
    TRUTH,
)
theme.add("b", "JSON lines, one line only", "line-delimited log", json.dumps(RECORDS[0]) + "\n", wide(FRAME.head(1)))
theme.add(
    "c",
    "JSON text sequence (RFC 7464)",
    "RFC 7464, JSON Text Sequences",
    "".join("\x1e" + json.dumps(record) + "\n" for record in RECORDS),
    TRUTH,
    or_refuse=True,
    doubt="Rare; a refusal is allowed.",
)
theme.add("b", "white space around", "hand-written", "\n\t " + text + " \n", TRUTH)
