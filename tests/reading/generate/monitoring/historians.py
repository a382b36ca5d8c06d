"""Monitoring systems, historians and home automation: historians."""

from kit import Row, epoch_ms, iso, rename

from monitoring.readings import NAMES, ROWS, TRUTH, named, theme


def item(row: Row, name: str) -> Row:
    return {
        "Timestamp": iso(row["ts"], 7),
        "Value": row[name],
        "UnitsAbbreviation": "m3/h",
        "Good": True,
        "Questionable": False,
        "Substituted": False,
        "Annotated": False,
    }


one = TRUTH["flow"]
alt = [{name: one} for name in ("value", "Items", "m3/h")]
theme.add(
    "bc",
    "PI Web API recorded",
    "PI Web API Reference, Stream GetRecorded",
    {"Links": {}, "Items": [item(row, "flow") for row in ROWS], "UnitsAbbreviation": "m3/h"},
    {"Value": one},
    alt=alt,
)
bad = [
    item(row, "flow")
    if i not in (4, 5)
    else {**item(row, "flow"), "Good": False, "Value": {"Name": "Bad Input", "Value": 255, "IsSystem": True}}
    for i, row in enumerate(ROWS)
]
good = [point for i, point in enumerate(one) if i not in (4, 5)]
theme.add(
    "c",
    "PI Web API recorded with system states",
    "PI Web API Reference, Stream GetRecorded",
    {"Links": {}, "Items": bad, "UnitsAbbreviation": "m3/h"},
    {"Value": good},
    alt=[{"value": good}],
    doubt="`Value.Value` 255 is a state's number. A second series of 255s is a misreading.",
)
streams = {
    "Links": {},
    "Items": [
        {
            "WebId": f"F1AbE{i}",
            "Name": name.upper(),
            "Path": rf"\\PI\Plant|{name.upper()}",
            "Links": {},
            "Items": [item(row, name) for row in ROWS],
            "UnitsAbbreviation": "",
        }
        for i, name in enumerate(NAMES)
    ],
}
theme.add(
    "bc",
    "PI Web API streamset interpolated",
    "PI Web API Reference, StreamSet GetInterpolated",
    streams,
    rename(TRUTH, str.upper),
    alt=named(rename(TRUTH, str.upper), "{}.Value", "{} Value"),
)
snapshot = {
    "Links": {},
    "Items": [
        {
            "WebId": f"F1AbE{i}",
            "Name": name.upper(),
            "Path": rf"\\PI\Plant|{name.upper()}",
            "Links": {},
            "Value": item(ROWS[i], name),
        }
        for i, name in enumerate(NAMES)
    ],
}
theme.add(
    "b",
    "PI Web API streamset values",
    "PI Web API Reference, StreamSet GetValues",
    snapshot,
    {name.upper(): [TRUTH[name][i]] for i, name in enumerate(NAMES)},
    or_refuse=True,
    doubt="One value per stream, nested one deeper.",
)
dataset = {
    "columns": [
        {"name": "t_stamp", "type": "java.util.Date"},
        {"name": "flow", "type": "java.lang.Double"},
        {"name": "ph", "type": "java.lang.Double"},
    ],
    "rows": [[epoch_ms(row["ts"]), row["flow"], row["ph"]] for row in ROWS],
}
theme.add("b", "Ignition dataset", "Ignition system.dataset.toJSONObject form", dataset, TRUTH)
theme.add(
    "c",
    "Ignition tag history, tall",
    "Ignition system.tag.queryTagHistory, returnFormat Tall",
    [
        {"path": f"[default]Line1/{name}", "value": row[name], "quality": 192, "timestamp": epoch_ms(row["ts"])}
        for row in ROWS
        for name in NAMES
    ],
    rename(TRUTH, lambda name: f"[default]Line1/{name}"),
    alt=[TRUTH],
    doubt="Quality 192 means Good; it is no measurement.",
)
theme.add(
    "c",
    "Canary / OPC HDA triples",
    "Canary Views Web API, getTagData",
    {
        "statusCode": "Good",
        "data": {
            f"Line1.{name}": [{"t": iso(row["ts"], 7), "v": row[name], "q": 192} for row in ROWS] for name in NAMES
        },
        "continuation": None,
    },
    rename(TRUTH, lambda name: f"Line1.{name}"),
    alt=named(rename(TRUTH, lambda name: f"Line1.{name}"), "{}.v"),
)
theme.add(
    "b",
    "AVEVA Data Hub values",
    "AVEVA Data Hub, Sequential Data Store list values",
    [{"Timestamp": row["ts"], "Flow": row["flow"], "IsQuestionable": False} for row in ROWS],
    {"Flow": one},
)
theme.add(
    "b",
    "Zabbix history.get",
    "Zabbix API, history.get",
    {
        "jsonrpc": "2.0",
        "id": 1,
        "result": [
            {
                "itemid": str(23296 + i),
                "clock": str(epoch_ms(row["ts"]) // 1000),
                "value": str(row[name]),
                "ns": str(563157632 + i),
            }
            for row in ROWS
            for i, name in enumerate(NAMES)
        ],
    },
    {"23296": TRUTH["flow"], "23297": TRUTH["ph"]},
    alt=named(
        {"23296": TRUTH["flow"], "23297": TRUTH["ph"]},
        "value.{}",
        "value {}",
        "itemid={}",
        "itemid {}",
        "value itemid={}",
        "value/{}",
        "{}.value",
        "itemid.{}",
        "item {}",
    ),
    or_refuse=True,
    doubt="The only label is an id in digits; `ns` is a part of the time.",
)
