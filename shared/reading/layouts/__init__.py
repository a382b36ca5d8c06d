"""Step 2 of reading: document -> tables."""
