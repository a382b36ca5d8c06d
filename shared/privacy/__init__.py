"""What may be shown of a secret: keyring.py derives keys, masking.py masks keys and texts."""
