"""InfluxDB line protocol: `measurement,tag=value field=1.5,other=2i 1772344800000000000`. Pure.

Source: InfluxDB documentation, "Line protocol": unescaped blanks part the three sections; commas, blanks and equals
signs in names are escaped with a backslash; integers end with i or u, strings stand in double quotes.
"""

import re

_NAME = r"(?:[^,=\s\\]|\\.)+"
_FIELD = rf"{_NAME}=(?:\"(?:[^\"\\]|\\.)*\"|[^,\s\"]+)"
_LINE = re.compile(
    rf"(?P<measurement>(?:[^,\s\\]|\\.)+)(?P<tags>(?:,{_NAME}={_NAME})*)"
    rf" (?P<fields>{_FIELD}(?:,{_FIELD})*)(?: (?P<time>-?\d{{1,19}}))?"
)
_TAG = re.compile(rf",({_NAME})=({_NAME})")
_PAIR = re.compile(rf"({_NAME})=(\"(?:[^\"\\]|\\.)*\"|[^,\s\"]+)(?:,|$)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?[iu]?")
_ESCAPED = re.compile(r"\\([,= \\\"])")


def read(text: str) -> list[object] | None:
    """A row for each line; None when a line is none. A field that is text or a flag stays one."""
    first = text.lstrip().split("\n", 1)[0]
    if "=" not in first or not _LINE.fullmatch(first.strip()):
        return None
    if "\\" not in text and '"' not in text:
        return _read_plain(text)
    rows: list[object] = []
    heads: dict[tuple[str, str], dict[str, object]] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            return None
        measurement, tags = match["measurement"], match["tags"]
        head = heads.get((measurement, tags))
        if head is None:
            named = {_plain(name): _tag(name, value) for name, value in _TAG.findall(tags)}
            head = heads[measurement, tags] = {"_measurement": _plain(measurement), **named}
        row = dict(head)
        if match["time"]:
            row["time"] = int(match["time"])
        numeric = False
        for name, value in _PAIR.findall(match["fields"]):
            number = _number(value)
            numeric = numeric or number is not None
            row[_plain(name)] = number if number is not None else value.strip('"')
        if not numeric and not rows:
            return None
        rows.append(row)
    return rows or None


def _read_plain(text: str) -> list[object] | None:
    """The same for a text without escapes and quotes, which can be split."""
    rows: list[object] = []
    heads: dict[str, dict[str, object]] = {}
    for line in text.splitlines():
        if not line or line.isspace() or line.startswith("#"):
            continue
        sections = line.split()
        if not 2 <= len(sections) <= 3:
            return None
        head = heads.get(sections[0])
        if head is None:
            read_head = _plain_head(sections[0])
            if read_head is None:
                return None
            head = heads[sections[0]] = read_head
        row = dict(head)
        if len(sections) == 3:
            if not sections[2].lstrip("-").isdecimal():
                return None
            row["time"] = int(sections[2])
        for field in sections[1].split(","):
            name, mark, value = field.partition("=")
            if not (name and mark and value):
                return None
            number = _number(value)
            row[name] = value if number is None else number
        rows.append(row)
    return rows if any(type(value) in (int, float) for name, value in rows[0].items() if name != "time") else None  # type: ignore[attr-defined]  # a dict


def _plain_head(text: str) -> dict[str, object] | None:
    """The measurement and the tags of a line."""
    measurement, *tags = text.split(",")
    row: dict[str, object] = {"_measurement": measurement}
    for tag in tags:
        name, mark, value = tag.partition("=")
        if not (name and mark and value):
            return None
        row[name] = _tag(name, value)
    return row


def _tag(name: str, value: str) -> str:
    """A tag's value. One that looks like a number carries its name, so that nobody takes it for one."""
    return _plain(f"{name}={value}" if _NUMBER.fullmatch(value) else value)


def _number(text: str) -> float | None:
    if text[-1].isdecimal() and text[0] in "+-.0123456789" and text.isascii() and "_" not in text:
        try:
            return float(text)
        except ValueError:
            return None
    if not _NUMBER.fullmatch(text):
        return None
    return int(text[:-1]) if text[-1] in "iu" and text[:-1].lstrip("+-").isdigit() else float(text.rstrip("iu"))


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
