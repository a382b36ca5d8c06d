"""The audit log in storage: a hash chain of lines in append blobs.

`export.export` writes it from the audit stream, `verify.verify` checks it, `verify.records` reads it, and `state.state`
returns the progress of the export. docs/audit.md describes the format and its guarantees.
"""
