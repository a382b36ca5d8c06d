"""Batches: claim, decode, analyse, commit. Start at reactor.py."""
