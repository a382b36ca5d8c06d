"""Sessions: compare with the phantom, record the transition. Start at reactor.py."""
