"""Certificates for servers that the tests start."""

import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def self_signed(folder: Path, name: str, *options: str) -> Path:
    """Create a certificate for `name` as cert.pem and key.pem in `folder`; `options` are options of `openssl req`.

    Returns the folder.
    """
    _openssl("req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}", *options, folder=folder)
    return folder


def authority(folder: Path) -> Path:
    """Create a certificate authority in `folder`. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return self_signed(folder, "an authority of the tests", "-addext", "keyUsage=critical,keyCertSign")


def issued(folder: Path, by: Path, names: str) -> Path:
    """Create a certificate of the authority `by` in `folder` for `names`, such as "IP:127.0.0.1". Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    signed = ("-CA", str(by / "cert.pem"), "-CAkey", str(by / "key.pem"), "-addext", f"subjectAltName={names}")
    return self_signed(folder, "a server of the tests", *signed, "-addext", "basicConstraints=CA:FALSE")


def _openssl(*arguments: str, folder: Path) -> None:
    command = ["openssl", *arguments, "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
