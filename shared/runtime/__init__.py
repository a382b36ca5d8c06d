"""Process-level tricks, kept in one place: threads, malloc, lazy NumPy."""
