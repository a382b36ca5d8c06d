"""`./run`: starts the app with everything it needs, shows its events, and stops everything in order."""
