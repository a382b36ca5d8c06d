"""Step 1 of reading: bytes -> document."""
