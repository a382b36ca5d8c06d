"""From the bytes that a client wrote to named series. Pure.

read.py         the entry: the fast path where it applies, else the steps below
fast_path/      the documented shapes, decoded straight into structs
documents/      step 1: bytes -> document (encodings, compressions, delimited text)
layouts/        step 2: document -> tables (where they stand, how they lie)
recognisers/    formats that have to be known to be read: SenML, OPC UA, Grafana, ...
roles/          step 3: what each column is: time, measure, label, unit, quality, ...
series.py       step 4: roles -> named series
reader.py       steps 1 to 3 in their order, and the choice of the table
candidates.py   the tables to choose from, and why a document without any is refused
batches.py, charts.py   what each of both makes of the series
texts/          what single names, numbers and times say
overrides.py    the setting INPUTS
explain.py      what was decided, and why
tree.py, model.py, limits.py   what the steps hand to each other, what they give, what they allow
"""
