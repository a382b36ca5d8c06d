"""Step 3 of reading: the role of each column."""
