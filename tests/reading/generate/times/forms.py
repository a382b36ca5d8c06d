"""One table in every form of time that libraries write: forms."""

import json

import pandas as pd
from kit import table, wide

from times.readings import FORMS, theme, values

for position, (name, source, column, form) in enumerate(FORMS):
    frame = table(values(), start="2026-03-14T10:30:00Z", step_s=300, time=column)
    shift = {"iso without zone, us": 123, "epoch s with fraction": 250}.get(name, 0)
    truth = wide(frame.assign(**{column: frame[column] + pd.Timedelta(milliseconds=shift)}), column)
    payload = [
        {column: form(pd.Timestamp(row[column])), "flow.m3h": row["flow.m3h"], "pH": row["pH"]}
        for row in frame.to_dict("records")
    ]
    theme.add("cb" if position % 6 == 0 else "c", name, source, json.dumps(payload), truth)
