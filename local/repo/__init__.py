"""The work on the repository. bootstrap and checks use the standard library only."""
