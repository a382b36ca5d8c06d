"""Charts: read, render, commit. Start at reactor.py."""
