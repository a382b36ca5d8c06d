"""What a column's name says about its role. Pure; every answer is cached by name.

A name is evidence only: shared.reading.roles looks at the values first and asks here second.
"""

import re
from enum import IntEnum
from functools import lru_cache

import msgspec


class Hint(IntEnum):
    """What a name suggests."""

    PLAIN = 0
    TIME = 1
    CLOCK = 2
    IDENTIFIER = 3
    INDEX = 4
    UNIT = 5
    QUALITY = 6
    SENSOR = 7
    PLACE = 8
    LABEL = 9
    VALUE = 10
    AGGREGATE = 11
    CALENDAR = 12
    BOOKKEEPING = 13
    AXIS = 14
    NOTE = 15


class NameHint(msgspec.Struct, frozen=True, gc=False):
    """`rank` orders columns with the same hint: the lowest is the best evidence."""

    hint: Hint
    rank: int = 0


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")

_TIME_NAMES: dict[str, int] = {
    name: rank
    for rank, names in enumerate(
        (
            "timestamp timestamps times dates datetimes ts time datetime sampletime sampledat measuredat measuretime measurementtime observedat observationtime "
            "observedtime recordedat recordtime recordedtime eventtime eventtimestamp sourcetimestamp sourcetime timegenerated "
            "readingtime readat readtime phenomenontime resulttime timeutc utctime utc datetimeutc timestamputc timems tsms "
            "timestampms timestampns timestampus tsns tsus unixtime unixtimestamp epoch epochms epochtime epochseconds dt "
            "devicetime devicetimestamp sensortime zeit zeitstempel zeitpunkt datumzeit datumuhrzeit horodatage dateheure "
            "fechahora tijdstip dateandtime localtime localtimestamp datelocal timelocal instant when at takenat collectedat",
            "date day datum fecha dag giorno jour d t x moment period samplingtime datekey timekey month hour bucket "
            "timebucket windowstart interval timeinterval key keyasstring",
            "start from begin starttime startdate startat startedat startsat timefrom intervalstart periodstart created createdat "
            "createdon createdate createdtime creationtime creationdate occurredat loggedat logtime lastchanged lasttime "
            "servertimestamp servertime gatewaytime dato published publishedat sent sentat senttime",
            "received receivedat receivedtime ingested ingestedat ingestiontime ingesttime processed processedat inserted "
            "insertedat stored storedat updated updatedat updatedon updatetime modified modifiedat modifiedon lastmodified "
            "enqueuedtime enqueuedat arrival arrivedat lastupdated lastupdate synced syncedat systemtime iothubenqueuedtime "
            "eventprocessedutctime eventenqueuedutctime brokertime hosttime",
            "end to stop until till endtime enddate endat endedat timeto intervalend periodend windowend finishedat",
        )
    )
    for name in names.split()
}
NEVER_TIMES = frozenset(
    ["expires", "expire", "expiry", "expiresat", "expiration", "expirationtime", "validuntil", "validto", "due", "dueat", "duedate", "nextupdate", "deleted", "deletedat", "ttl", "nextcalibration", "calibratedat", "lastcalibration", "calibrationdate", "installedat", "installdate", "birthday", "revalidate", "staleat"]
)
_TIME_ENDINGS = ("timestamp", "datetime", "time", "date", "utc")

_VALUES = frozenset(
    ["value", "val", "v", "y", "reading", "data", "numericvalue", "valuenumeric", "numvalue", "measurementvalue", "measuredvalue", "measuredval", "measurement", "result", "payload", "state", "scalar", "number", "doublevalue", "floatvalue", "intvalue", "longvalue", "numbervalue", "decimalvalue", "integervalue", "int64value", "wert", "messwert", "valeur", "valor", "waarde", "valore", "sensorvalue", "tagvalue", "pointvalue", "readingvalue", "processvalue", "rawvalue", "valuefloat", "valuedouble", "valuenum", "amount", "metricvalue", "fieldvalue", "simplevalue", "values", "datapoint", "observation", "currentvalue", "actualvalue"]
)
_AGGREGATES = frozenset(["average", "avg", "mean", "total", "sum", "minimum", "min", "maximum", "max", "count", "last", "latest", "first", "median"])
_QUALITIES = frozenset(
    ["quality", "qual", "q", "qc", "qualitycode", "qualityflag", "qcflag", "dataquality", "status", "statuscode", "good", "questionable", "substituted", "annotated", "valid", "isvalid", "isgood", "reliability", "confidence", "validity", "flag", "flags", "opcquality", "statusflag", "badquality", "sensorstatus", "devicestatus", "alarm", "alarmstate", "isalarm", "anomaly", "isanomaly", "outlier", "error", "errorcode", "haserror", "severity", "state_class"]
)
_UNITS = frozenset(
    ["unit", "units", "uom", "unitcode", "unitofmeasurement", "unitofmeasure", "unitsabbreviation", "unitabbreviation", "unitname", "unitsymbol", "einheit", "u", "engineeringunit", "engineeringunits", "engunits", "eu", "measureunit", "measurementunit", "bu"]
)
_SENSOR_WORDS = frozenset(
    ["sensor", "device", "station", "meter", "probe", "node", "asset", "equipment", "machine", "gateway", "instrument", "logger", "thing", "entity", "host", "instance", "dev", "transmitter", "analyser", "analyzer", "detector", "geraet", "gerät", "serial", "eui", "imei"]
)
_PLACE_WORDS = frozenset(
    ["site", "location", "plant", "area", "zone", "room", "building", "tank", "well", "reactor", "vessel", "pump", "column", "line", "stage", "cell", "unit", "field", "region", "city", "country", "farm", "floor", "rack", "lane", "stack", "source", "channel", "feed", "stream", "pipeline", "facility", "loop", "pile", "segment", "customer", "tenant"]
)
_QUALIFIERS = frozenset(["id", "name", "no", "nr", "code", "number", "num", "key", "ref", "uuid", "guid", "label", "tag"])
_LABELS: dict[str, int] = {
    name: rank
    for rank, names in enumerate(
        (
            "metric metricname name__ __name__ parameter parametername param paramname variable variablename quantity signal "
            "signalname tagname tag measurand observable observedproperty measure measurename _field displayname channelname "
            "metrickey measurementname measurementtype metrictype sensortype readingtype datatype_ analyte species pollutant "
            "component fieldname seriesname series n bn target topic property propertyname point pointname datapointname",
            "name label title key field friendlyname dataset legend text symbol attribute attributename item itemname counter "
            "countername objectname caption",
            "measurement _measurement type kind category class group alias parameterid metricid tagid signalid entityid nodeid path "
            "webid description subject pointid seriesid variableid channelid",
        )
    )
    for name in names.split()
}
_NOTES = frozenset(
    ["comment", "comments", "note", "notes", "remark", "remarks", "message", "msg", "description", "text", "operator", "user", "username", "author", "url", "href", "link", "color", "colour", "bordercolor", "backgroundcolor", "style", "format", "mode", "event", "eventtype", "shift", "weekday", "dayname", "monthname", "batch", "batchid", "job", "version", "schema", "contenttype", "encoding", "language", "timezone", "tz", "zone", "license", "source_", "file", "filename"]
)
_IDENTIFIERS = frozenset(
    ["id", "uid", "uuid", "guid", "oid", "pk", "rowid", "objectid", "webid", "etag", "hash", "checksum", "digest", "crc", "_id", "sn", "serial", "serialnumber", "serialno", "imei", "mac", "eui", "deveui", "ip", "barcode", "pid", "tid", "applicationuri", "subscriptionid", "transactionid", "correlationid", "partitionkey", "rowkey", "ref", "msgid"]
)
_ID_ENDINGS = ("id", "uuid", "guid", "uid", "pk")
_JOINED_ID = re.compile(
    r"(device|sensor|batch|tag|user|row|record|message|msg|event|node|station|site|asset|machine|meter|equipment|gateway|point|"
    r"channel|object|parent|run|job|task|request|trace|session|tenant|customer|plant|unit|reading|measurement|series|metric|signal|"
    r"stream|item|entity|parameter|group|statement|sample|lot|order|location|area|line|tank|sub|primary|foreign|external|data)"
    r"_?(id|uid|uuid|guid|pk)"
)
_INDEXES = frozenset(
    ["index", "idx", "row", "rownum", "rownumber", "rowno", "rowindex", "rn", "seq", "seqno", "seqnr", "seqnum", "sequence", "sequencenumber", "sequenceno", "sequenceid", "ordinal", "nr", "no", "num", "unnamed0", "level0", "recordnumber", "recordno", "recno", "lineno", "linenumber", "i", "idx0", "lfdnr", "samplenumber", "samplenr", "sampleno", "packetnumber", "packetno", "messagenumber", "messageno", "msgno", "readingnumber", "number_", "counterno", "fcnt", "framecount", "framecounter", "#", "table", "offset", "cursor", "position_", "pos_", "step_", "autoincrement"]
)
_CALENDAR = frozenset(
    ["year", "month", "day", "hour", "minute", "second", "weekday", "dayofweek", "dow", "dayofmonth", "dayofyear", "doy", "week", "weekofyear", "isoweek", "quarter", "millisecond", "jahr", "monat", "tag_", "stunde", "hourofday", "minuteofhour", "minuteofday", "yearmonth", "isoyear", "epochday"]
)
_BOOKKEEPING = frozenset(
    ["version", "ver", "revision", "rev", "schemaversion", "ttl", "partition", "fport", "port", "attempt", "attempts", "retry", "retries", "tries", "httpstatus", "rowcount", "page", "pagesize", "perpage", "limit", "expiresin", "maxage", "doccount", "shard", "flagsraw", "datarate", "spreadingfactor", "channelindex", "recordcount", "samplecount", "numsamples", "metadataversion", "majorversion", "minorversion", "yaxis", "xaxis", "zindex", "code", "lastmodified", "revalidate"]
)
_AXES = frozenset(
    ["x", "depth", "distance", "position", "index", "frequency", "freq", "wavelength", "step", "elapsed", "elapsedtime", "seconds", "minutes", "hours", "days", "offset", "length", "angle", "cycle", "iteration", "epoch", "year", "age", "bin", "sample", "row", "n", "i", "idx", "key", "label", "labels", "categories", "category"]
)
_CLOCKS = frozenset(
    ["time", "clock", "hour", "hours", "uhrzeit", "zeit", "heure", "hora", "tijd", "tod", "timeofday", "localtime", "timeutc", "utctime", "ora"]
)
_GENERIC_CONTAINERS = frozenset(
    ["data", "values", "value", "measurements", "measurement", "fields", "readings", "payload", "payloads", "decodedpayload", "decoded", "object", "telemetry", "metrics", "sensors", "sensordata", "params", "parameters", "properties", "attributes", "source", "_source", "doc", "document", "record", "row", "node", "item", "body", "content", "message", "result", "results", "response", "records", "rows", "items", "points", "point", "datapoints", "datapoint", "series", "samples", "sample", "observations", "main", "state", "reported", "desired", "json", "input", "output", "measures", "channels", "vars", "variables", "process", "processdata", "state_", "uplinkmessage", "msg"]
)
_MEASUREMENT_CONTAINERS = frozenset(
    ["data", "values", "fields", "measurements", "readings", "payload", "decodedpayload", "decoded", "object", "telemetry", "metrics", "sensordata", "attributes", "properties", "source"]
)
ASIDES = frozenset(
    ["summary", "stats", "statistics", "alerts", "alert", "alarms", "events", "annotations", "errors", "warnings", "links", "link", "meta", "metadata", "paging", "pagination", "layout", "template", "options", "config", "configuration", "settings", "schema", "thresholds", "limits", "limit", "axes", "colors", "colours", "latest", "current", "currentunits", "units", "hourlyunits", "dailyunits", "info", "extensions", "debug", "query", "querystatus", "total", "totals", "aggregates", "aggregations", "header", "headers", "context", "profile", "marker", "line", "style", "legend", "tooltip", "plugins", "scales", "plotoptions", "colorscale", "baseline", "forecastmeta", "encoding", "domain", "range", "ticks", "shapes", "domains", "env", "request", "requests", "logs", "log", "history_", "outputs", "output", "rowsaffected", "geo", "tableofcontents", "extendedproperties", "errorx", "errory", "customdata", "hovertemplate", "transform"]
)


@lru_cache(4096)
def words(name: str) -> tuple[str, ...]:
    """The words of a name in lower case, split at camel case, underscores and everything that is no letter or digit."""
    return tuple(word.lower() for part in _WORD.findall(name[:256]) for word in _CAMEL.split(part) if word)


@lru_cache(4096)
def compact(name: str) -> str:
    """The words of a name without anything between them: `Source_Timestamp` and `sourceTimestamp` are one name."""
    return "".join(words(name))


@lru_cache(4096)
def hint(name: str) -> NameHint:
    """What a name suggests when nothing is known about the values."""
    joined, parts = compact(name), words(name)
    lowered = name.lower()
    if not parts:
        return NameHint(Hint.INDEX) if lowered in ("", "#", "№") else NameHint(Hint.PLAIN)
    if lowered in ("_measurement", "_field", "__name__"):
        return NameHint(Hint.LABEL, {"_measurement": 2, "_field": 0, "__name__": 0}[lowered])
    if joined in _TIME_NAMES:
        return NameHint(Hint.TIME, _TIME_NAMES[joined])
    for names, role in (
        (_UNITS, Hint.UNIT),
        (_QUALITIES, Hint.QUALITY),
        (_INDEXES, Hint.INDEX),
        (_VALUES, Hint.VALUE),
        (_AGGREGATES, Hint.AGGREGATE),
        (_CALENDAR, Hint.CALENDAR),
        (_BOOKKEEPING, Hint.BOOKKEEPING),
    ):
        if joined in names:
            return NameHint(role)
    if joined in _LABELS:
        return NameHint(Hint.LABEL, _LABELS[joined])
    if joined in _NOTES:
        return NameHint(Hint.NOTE)
    return _hint_by_words(joined, parts)


def _hint_by_words(joined: str, parts: tuple[str, ...]) -> NameHint:
    last = parts[-1]
    if set(parts) <= _SENSOR_WORDS | _QUALIFIERS and set(parts) & _SENSOR_WORDS:
        return NameHint(Hint.SENSOR, 0 if last in ("id", "name", "key") or len(parts) == 1 else 1)
    if joined in _IDENTIFIERS or (len(parts) > 1 and last in _ID_ENDINGS) or _JOINED_ID.fullmatch(joined):
        stem = _JOINED_ID.fullmatch(joined)
        if stem and stem[1] in _SENSOR_WORDS:
            return NameHint(Hint.SENSOR, 0)
        return NameHint(Hint.IDENTIFIER)
    if len(parts) > 1 and last in ("number", "no", "nr", "num", "index", "idx", "seq", "sequence"):
        return NameHint(Hint.INDEX, 1)
    if set(parts) <= _PLACE_WORDS | _QUALIFIERS and set(parts) & _PLACE_WORDS:
        return NameHint(Hint.PLACE, 0 if last in ("name", "id") or len(parts) == 1 else 1)
    if last in ("unit", "units", "uom"):
        return NameHint(Hint.UNIT, 1)
    if last in ("quality", "status", "flag", "valid", "qc", "alarm") and len(parts) > 1:
        return NameHint(Hint.QUALITY, 1)
    if len(parts) > 1 and (last in _TIME_ENDINGS or (last == "at" and len(parts) == 2) or last in ("stamp", "ts")):
        return NameHint(Hint.TIME, 3 if joined in NEVER_TIMES else 2)
    if parts[0] in ("timestamp", "datetime", "date", "time") and len(parts) <= 3:
        return NameHint(Hint.TIME, 1)
    if last == "version":
        return NameHint(Hint.BOOKKEEPING)
    return NameHint(Hint.PLAIN)


@lru_cache(4096)
def is_clock(name: str) -> bool:
    """Whether the name can be that of a time of day."""
    return compact(name) in _CLOCKS or words(name)[-1:] in (("time",), ("hour",))


@lru_cache(4096)
def is_axis(name: str) -> bool:
    """Whether the name can be that of a numeric or named axis."""
    return compact(name) in _AXES


@lru_cache(4096)
def is_container(name: str) -> bool:
    """Whether a member of this name only wraps measurements, so that it adds nothing to their names."""
    return compact(name) in _GENERIC_CONTAINERS


@lru_cache(4096)
def holds_measurements(name: str) -> bool:
    """Whether numbers beside a member of this name describe the message, not what was measured."""
    return compact(name) in _MEASUREMENT_CONTAINERS


@lru_cache(4096)
def is_aside(name: str) -> bool:
    """Whether a member of this name usually stands beside the data: summaries, links, layout."""
    return compact(name) in ASIDES


@lru_cache(1024)
def is_plain_measure(name: str) -> bool:
    """Whether no rule would take a column of numbers with this name for anything but a measurement."""
    return hint(name).hint is Hint.PLAIN and "[" not in name
