"""Keys as they are shown: secret parts masked, on one printable line."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import namespaces
from shared.privacy.keyring import keyring
from shared.privacy.masking import fingerprint, mask_key, printable

AUDIT_KEY = "an audit key of the tests"


def test_a_fingerprint_is_the_documented_hmac() -> None:
    expected = hmac.new(AUDIT_KEY.encode(), b"token-1", hashlib.sha256).hexdigest()[:32]
    assert fingerprint(b"token-1", AUDIT_KEY) == expected


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (b"fastapi:temp:data:batch-1", "fastapi:temp:data:batch-1"),
        (b"fabric:data:chart:co2:realtime", "fabric:data:chart:co2:realtime"),
        (b"nextauth:session:by-user-id:u1", f"nextauth:session:by-user-id:~{fingerprint(b'u1', AUDIT_KEY)[:12]}"),
        (b"nextauth:user:u1", "nextauth:user:u1"),
        (b"nextauth:user:a@b.example", f"nextauth:user:~{fingerprint(b'a@b.example', AUDIT_KEY)[:12]}"),
        (b"fabric:user:a@b.example:tokens", f"fabric:user:~{fingerprint(b'a@b.example', AUDIT_KEY)[:12]}:tokens"),
        (b"nextauth:session:SECRET", f"nextauth:session:~{fingerprint(b'SECRET', AUDIT_KEY)[:12]}"),
        (b"nextauth:sessions:S3CR3T", f"nextauth:sessions:~{fingerprint(b'S3CR3T', AUDIT_KEY)[:12]}"),
        (b"nextauth:account:azure:SECRET", f"nextauth:account:azure:~{fingerprint(b'SECRET', AUDIT_KEY)[:12]}"),
        (b"fabric:data:chart:{dataType}:realtime", "fabric:data:chart:{dataType}:realtime"),
        (
            b"nextauth:account:{accountId}:SECRET",
            f"nextauth:account:{{accountId}}:~{fingerprint(b'SECRET', AUDIT_KEY)[:12]}",
        ),
        (b"session:S3CR3T", f"session:~{fingerprint(b'S3CR3T', AUDIT_KEY)[:12]}"),
        (b"fastapi:temp:data:a\r\nb\x1b[31m", "fastapi:temp:data:a\\r\\nb\\x1b[31m"),
        (b"fastapi:temp:data:\xff\xfe", "fastapi:temp:data:\\xff\\xfe"),
        ("fastapi:temp:data:a\u202egpj.exe".encode(), "fastapi:temp:data:a\\u202egpj.exe"),
        (
            "fastapi:temp:data:a\u061c\u200b\u2060\ufeff\xadb".encode(),
            "fastapi:temp:data:a\\u061c\\u200b\\u2060\\ufeff\\xadb",
        ),
        ("fastapi:temp:data:a\U000e0041".encode(), "fastapi:temp:data:a\\U000e0041"),
        ("fastapi:temp:data:\U0001f468\u200d\U0001f33e".encode(), "fastapi:temp:data:\U0001f468\u200d\U0001f33e"),
    ],
)
def test_a_key_is_shown_with_its_secret_parts_masked(key: bytes, shown: str) -> None:
    assert mask_key(key, AUDIT_KEY) == shown


@given(
    prefix=st.sampled_from(
        [b"nextauth:session:", b"nextauth:token:", b"nextauth:email:", b"nextauth:account:a:", b"nextauth:x:"]
    ),
    secret=st.binary(min_size=8, max_size=40),
)
def test_no_secret_part_is_ever_shown(prefix: bytes, secret: bytes) -> None:
    if secret.startswith((b"by-user-id:", b"nextauth:", b"fabric:", b"fastapi:", b"functions:")):
        return
    shown = mask_key(prefix + secret, AUDIT_KEY)
    assert printable(secret) not in shown


@given(token=st.binary(min_size=1, max_size=64).filter(lambda token: not token.startswith(b"by-user-id:")))
def test_a_phantom_is_shown_with_the_fingerprint_of_its_session(token: bytes) -> None:
    session = mask_key(namespaces.build(namespaces.SESSION, token), AUDIT_KEY)
    phantom = mask_key(namespaces.build(namespaces.PHANTOM, keyring(AUDIT_KEY).seal(token)), AUDIT_KEY)
    mark = f"~{fingerprint(token, AUDIT_KEY)[:12]}"
    assert session == f"nextauth:session:{mark}"
    assert phantom == f"functions:phantom:session:{mark}"


def test_a_phantom_sealed_under_another_key_is_shown_without_a_fingerprint() -> None:
    foreign = namespaces.build(namespaces.PHANTOM, keyring("another audit key").seal(b"token-1"))
    assert mask_key(foreign, AUDIT_KEY) == "functions:phantom:session:?"
    assert mask_key(foreign, "another audit key") != "functions:phantom:session:?"


@given(name=st.binary(min_size=1, max_size=64))
def test_an_invalid_name_of_a_phantom_is_never_shown(name: bytes) -> None:
    """Any client of Redis can write a key with this prefix, even with an unsealed token as its name."""
    assert mask_key(namespaces.build(namespaces.PHANTOM, name), AUDIT_KEY) == "functions:phantom:session:?"


@given(raw=st.binary(max_size=400))
def test_printable_text_is_one_short_line_of_valid_unicode(raw: bytes) -> None:
    shown = printable(raw)
    assert shown.encode().decode() == shown
    assert len(shown.splitlines()) <= 1
    assert len(shown) <= 200
