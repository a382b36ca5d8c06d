"""Reads what people write: bytes -> document -> table -> roles -> named series."""
