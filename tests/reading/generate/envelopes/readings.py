"""The readings that the parts of `envelopes` write, and their theme."""

from typing import Any

import pydantic
from kit import Row, Theme, rows, table, wave, wide
from sqlalchemy import DateTime, Float
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

theme = Theme("envelopes")

FRAME = table(
    {"temp": wave(24, 52, 6), "pressure_bar": wave(24, 2.4, 0.2, 1, digits=3)}, start="2026-07-01T00:00:00Z", step_s=900
)

TRUTH = wide(FRAME)

ROWS: list[Row] = rows(FRAME)


class Reading(pydantic.BaseModel):
    ts: pydantic.AwareDatetime
    temp: float
    pressure_bar: float


class Page(pydantic.BaseModel):
    items: list[Reading]
    total: int
    page: int
    size: int
    pages: int


class Base(DeclarativeBase):
    pass


class Stored(Base):
    __tablename__ = "readings"
    id: Mapped[int] = mapped_column(primary_key=True)
    ts: Mapped[Any] = mapped_column(DateTime)
    temp: Mapped[float] = mapped_column(Float)
    pressure_bar: Mapped[float] = mapped_column(Float)
