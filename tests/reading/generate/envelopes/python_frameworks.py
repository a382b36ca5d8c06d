"""Rows below members: what web frameworks and APIs wrap around them: python frameworks."""

import json

import marshmallow
from fastapi.encoders import jsonable_encoder
from kit import epoch_ms, lib, moment_of
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from envelopes.readings import ROWS, TRUTH, Base, Page, Reading, Stored, theme

readings = [Reading.model_validate(row) for row in ROWS]
page = Page(items=readings, total=24, page=1, size=50, pages=1)
theme.add(
    "bc",
    "pydantic page",
    f"{lib('pydantic')} model_dump_json, fastapi-pagination Page",
    page.model_dump_json(),
    TRUTH,
)
engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add_all(
        Stored(id=5001 + i, ts=moment_of(epoch_ms(row["ts"])), temp=row["temp"], pressure_bar=row["pressure_bar"])
        for i, row in enumerate(ROWS)
    )
    session.commit()
    stored = session.scalars(select(Stored)).all()
    encoded = jsonable_encoder(
        [{name: getattr(row, name) for name in ("id", "ts", "temp", "pressure_bar")} for row in stored]
    )
    raw = session.execute(select(Stored.ts, Stored.temp, Stored.pressure_bar)).all()
theme.add(
    "bc",
    "SQLAlchemy rows, primary key and no zone",
    f"{lib('SQLAlchemy')}, {lib('fastapi')} jsonable_encoder",
    json.dumps(encoded),
    TRUTH,
)
theme.add(
    "b",
    "SQLAlchemy tuples with keys",
    f"{lib('SQLAlchemy')} Result.keys and rows",
    json.dumps({"keys": ["ts", "temp", "pressure_bar"], "rows": [list(row) for row in raw]}, default=str),
    TRUTH,
)
schema = marshmallow.Schema.from_dict(
    {
        "ts": marshmallow.fields.AwareDateTime(),
        "temp": marshmallow.fields.Float(),
        "pressure_bar": marshmallow.fields.Decimal(as_string=True),
    }
)
dumped = schema(many=True).dump([{**row, "ts": moment_of(epoch_ms(row["ts"]))} for row in ROWS])
theme.add("b", "marshmallow with Decimals as text", f"{lib('marshmallow')} Schema.dump", json.dumps(dumped), TRUTH)
