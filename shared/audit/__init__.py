"""The audit log outside of Redis: a chain of lines in append blobs, how it is written and how it is verified.

`export.export` ships, `verify.verify` checks, `verify.records` reads, `state.state` tells how far things are;
docs/audit.md describes the format and what it guarantees.
"""
