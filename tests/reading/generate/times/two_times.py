"""One table in every form of time that libraries write: two times."""

import pandas as pd
from kit import Truth, epoch_ms, iso, table, wide

from times.readings import theme, values

frame = table(values(), start="2026-05-05T12:00:00Z")
late = [moment + pd.Timedelta(seconds=95) for moment in frame["ts"]]
truth: Truth = wide(frame)
theme.add(
    "c",
    "event time beside ingest time",
    "Azure Stream Analytics output columns",
    [
        {
            "EventProcessedUtcTime": iso(late[i], 7),
            "PartitionId": 3,
            "EventEnqueuedUtcTime": iso(late[i], 3),
            "eventTime": iso(row["ts"]),
            "flow.m3h": row["flow.m3h"],
            "pH": row["pH"],
        }
        for i, row in enumerate(frame.to_dict("records"))
    ],
    truth,
    doubt="The event time is the right axis; the enqueued time would give another first time.",
)
theme.add(
    "cb",
    "epoch beside iso",
    "weather station API",
    [
        {
            "dateEpoch": epoch_ms(row["ts"]) // 1000,
            "date": iso(row["ts"]),
            "flow.m3h": row["flow.m3h"],
            "pH": row["pH"],
        }
        for row in frame.to_dict("records")
    ],
    truth,
)
theme.add(
    "c",
    "created and updated beside the time",
    "ORM rows",
    [
        {
            "id": 9000 + i,
            "created_at": iso(late[0], 6),
            "updated_at": iso(late[0], 6),
            "timestamp": iso(row["ts"]),
            "flow.m3h": row["flow.m3h"],
            "pH": row["pH"],
        }
        for i, row in enumerate(frame.to_dict("records"))
    ],
    truth,
)
java = [
    {"time": [row.ts.year, row.ts.month, row.ts.day, row.ts.hour, row.ts.minute], "pH": row.pH}
    for row in frame.itertuples()
]
theme.add(
    "c",
    "Java LocalDateTime as array",
    "Jackson WRITE_DATES_AS_TIMESTAMPS",
    java,
    {"pH": truth["pH"]},
    or_refuse=True,
    doubt="Five whole numbers: a reader that does not know the form should refuse.",
)
