"""What makes reactions certain: reconcile.py, retries.py, failures.py, dead_letters.py, replay.py."""
