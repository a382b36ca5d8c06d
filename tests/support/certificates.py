"""Certificates for servers that the tests start."""

import subprocess
from pathlib import Path


def self_signed(folder: Path, name: str, *options: str) -> Path:
    """Create a certificate for `name` as cert.pem and key.pem in `folder`; `options` are options of `openssl req`.

    Returns the folder.
    """
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *options,
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder
