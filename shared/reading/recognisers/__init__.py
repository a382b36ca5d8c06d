"""Formats whose definition itself is the knowledge, one small module each. Whatever a rule can read is not here."""
