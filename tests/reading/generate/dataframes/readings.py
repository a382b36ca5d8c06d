"""The readings that the parts of `dataframes` write, and their theme."""

from kit import Theme, lib

theme = Theme("dataframes")

PANDAS = lib("pandas")

POLARS = lib("polars")
