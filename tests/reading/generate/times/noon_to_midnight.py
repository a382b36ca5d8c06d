"""One table in every form of time that libraries write: noon to midnight."""

from kit import table, wave, wide

from times.readings import theme

frame = table({"temp": wave(30, 19, 2)}, start="2026-02-13T09:00:00Z", step_s=3600)
theme.add(
    "c",
    "month first, 12 hours over noon and midnight",
    "SQL Server style 22, en-US",
    [{"When": row.ts.strftime("%m/%d/%Y %I:%M:%S %p"), "temp": row.temp} for row in frame.itertuples()],
    wide(frame),
)
german = [{"Zeit": row.ts.strftime("%d.%m.%Y %H:%M"), "temp": row.temp} for row in frame.itertuples()]
theme.add("c", "day first with dots, days over 12", "de-DE spreadsheet export", german, wide(frame))
british = "time,temp\n" + "".join(f"{row.ts.strftime('%d/%m/%Y %H:%M:%S')},{row.temp}\n" for row in frame.itertuples())
theme.add(
    "cb",
    "day first with slashes, days over 12, csv",
    "en-GB spreadsheet export",
    british,
    wide(frame),
    pandas={"call": "read_csv", "time": "time", "dayfirst": True},
)
ambiguous = table({"temp": wave(6, 19, 2)}, start="2026-02-03T09:00:00Z", step_s=3600)
text = [{"time": row.ts.strftime("%d/%m/%Y %H:%M"), "temp": row.temp} for row in ambiguous.itertuples()]
theme.add(
    "c",
    "day or month first cannot be told",
    "spreadsheet export",
    text,
    None,
    refuse="",
    doubt="02/03: both orders are plausible, so no answer is sure. A reader may also read month first.",
)
theme.add(
    "b",
    "day or month first cannot be told",
    "spreadsheet export",
    text,
    wide(ambiguous),
    or_refuse=True,
    doubt="The figures of a batch do not depend on the order of day and month.",
)
