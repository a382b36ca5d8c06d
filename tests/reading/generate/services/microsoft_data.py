"""Answers of cloud services and query APIs: microsoft data."""

from kit import iso, rename

from services.readings import ROWS, TRUTH, theme

theme.add(
    "c",
    "Power BI executeQueries, two tables of which one is empty",
    "Power BI REST API, Execute Queries In Group",
    {
        "results": [
            {"tables": [{"rows": [{f"Readings[{name}]": value for name, value in row.items()} for row in ROWS]}]}
        ],
        "informationProtectionLabel": {"id": "0", "name": "General"},
    },
    TRUTH,
    alt=[rename(TRUTH, lambda name: f"Readings[{name}]"), rename(TRUTH, lambda name: f"Readings.{name}")],
)
theme.add(
    "b",
    "Power BI measures in brackets",
    "Power BI REST API, Execute Queries",
    {
        "results": [
            {
                "tables": [
                    {
                        "rows": [
                            {
                                "Date[Date]": iso(row["Timestamp"], suffix=""),
                                "[Avg temperature]": row["temperature"],
                                "[Sum flow]": row["co2_flow"],
                            }
                            for row in ROWS
                        ]
                    }
                ]
            }
        ]
    },
    {"Avg temperature": TRUTH["temperature"], "Sum flow": TRUTH["co2_flow"]},
    alt=[{"[Avg temperature]": TRUTH["temperature"], "[Sum flow]": TRUTH["co2_flow"]}],
)
theme.add(
    "bc",
    "Dataverse Web API",
    "Microsoft Dataverse Web API, query data",
    {
        "@odata.context": "https://org.example/api/data/v9.2/$metadata#cr_readings(cr_ts,cr_temperature)",
        "value": [
            {
                "@odata.etag": f'W/"{7000 + i}"',
                "cr_readingid": f"{i:08x}-aaaa-4bbb-8ccc-0123456789ab",
                "cr_ts": row["Timestamp"],
                "cr_temperature": row["temperature"],
                "cr_temperature@OData.Community.Display.V1.FormattedValue": f"{row['temperature']:.2f}",
            }
            for i, row in enumerate(ROWS)
        ],
    },
    {"cr_temperature": TRUTH["temperature"]},
    doubt="The formatted value repeats the number as text under an annotation; it is no second series.",
)
theme.add(
    "c",
    "SharePoint list items",
    "Microsoft Graph, list items",
    {
        "value": [
            {
                "id": str(i + 1),
                "createdDateTime": "2026-08-10T06:00:00Z",
                "fields": {
                    "Title": f"Reading {i + 1}",
                    "Timestamp": row["Timestamp"],
                    "temperature": row["temperature"],
                },
            }
            for i, row in enumerate(ROWS)
        ]
    },
    {"temperature": TRUTH["temperature"]},
)
