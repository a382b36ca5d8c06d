"""Everything derived from an AUDIT_KEY: deterministic, equal to the standard library's results, and never the key."""

import base64
import hashlib
import hmac
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.privacy.keyring import FINGERPRINT_DIGITS, Keyring, keyring, keyrings

AUDIT_KEY = "an audit key of the tests"
OTHER_KEY = "another audit key of the tests"
KEYS = st.text(st.characters(exclude_categories=("Cs",)), min_size=16, max_size=100)
BASE64URL = string.ascii_letters + string.digits + "-_"


@pytest.fixture(scope="module")
def ring() -> Keyring:
    return Keyring(AUDIT_KEY)


def derived(audit_key: str, label: str) -> bytes:
    """One block of HKDF-Expand (RFC 5869) with SHA-512: HMAC over the label and the block's number."""
    return hmac.new(audit_key.encode(), f"keyspace-functions/{label}\x01".encode(), hashlib.sha512).digest()


def test_a_fingerprint_is_hmac_sha_256() -> None:
    """Test case 2 of RFC 4231."""
    assert Keyring("Jefe").fingerprint(b"what do ya want for nothing?") == "5bdcc146bf60754e6a042426089575c7"


@given(audit_key=KEYS, secret=st.binary(max_size=200))
def test_a_fingerprint_is_a_prefix_of_the_standard_library_s_hmac(audit_key: str, secret: bytes) -> None:
    expected = hmac.new(audit_key.encode(), secret, hashlib.sha256).hexdigest()[:FINGERPRINT_DIGITS]
    assert Keyring(audit_key).fingerprint(secret) == expected


@given(audit_key=KEYS, user_id=st.text(st.characters(exclude_categories=("Cs",)), max_size=200))
def test_a_pseudonym_is_hmac_sha_256_and_the_former_one_was_hmac_sha_1(audit_key: str, user_id: str) -> None:
    ring, user_key = Keyring(audit_key), derived(audit_key, "user")
    expected = ["~" + hmac.new(user_key, user_id.encode(), name).hexdigest()[:32] for name in ("sha256", "sha1")]
    assert ring.pseudonym(user_id) == expected[0]
    assert ring.pseudonyms(user_id) == tuple(expected)


@given(data=st.binary(max_size=200))
def test_a_signature_is_hmac_sha_256_under_a_derived_key(data: bytes) -> None:
    expected = hmac.new(derived(AUDIT_KEY, "sign"), data, hashlib.sha256).hexdigest()
    assert Keyring(AUDIT_KEY).sign(data) == expected
    assert not expected.startswith(Keyring(AUDIT_KEY).fingerprint(data))


@given(token=st.binary(min_size=1, max_size=300))
@example(b"\0")
@example(b"x" * 4096)
def test_a_sealed_token_is_base64url_and_unseals_to_the_token(ring: Keyring, token: bytes) -> None:
    sealed = ring.seal(token)
    assert set(sealed) <= set(BASE64URL)
    assert ring.unseal(sealed.encode()) == token


@given(token=st.binary(min_size=1, max_size=64))
def test_sealing_is_deterministic(token: bytes) -> None:
    assert Keyring(AUDIT_KEY).seal(token) == Keyring(AUDIT_KEY).seal(token)


@given(tokens=st.lists(st.binary(min_size=1, max_size=8), min_size=2, max_size=2, unique=True))
def test_different_tokens_have_different_seals_and_fingerprints(ring: Keyring, tokens: list[bytes]) -> None:
    first, second = tokens
    assert ring.seal(first) != ring.seal(second)
    assert ring.fingerprint(first) != ring.fingerprint(second)


@given(token=st.binary(min_size=6, max_size=64))
def test_a_sealed_token_does_not_contain_the_token(ring: Keyring, token: bytes) -> None:
    raw = base64.urlsafe_b64decode(ring.seal(token) + "==")
    assert len(raw) == len(token) + 16
    assert token not in raw


@given(raw=st.binary(max_size=200))
@example(b"")
@example(b"=")
@example(b"A")
@example(b"A" * 22)
@example(b"\xff" * 40)
def test_bytes_that_were_never_sealed_do_not_unseal(ring: Keyring, raw: bytes) -> None:
    assert ring.unseal(raw) is None


@given(text=st.text(BASE64URL + "+/=", max_size=100))
def test_text_that_resembles_a_sealed_token_does_not_unseal(ring: Keyring, text: str) -> None:
    assert ring.unseal(text.encode()) is None


@given(token=st.binary(min_size=1, max_size=64), data=st.data())
def test_an_altered_sealed_token_does_not_unseal(ring: Keyring, token: bytes, data: st.DataObject) -> None:
    sealed = ring.seal(token)
    at = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.sampled_from(BASE64URL.replace(sealed[at], "") + "+/="))
    for altered in (sealed[:at] + other + sealed[at + 1 :], sealed[:at] + other + sealed[at:], sealed + other):
        assert ring.unseal(altered.encode()) is None
    assert ring.unseal(sealed[:at].encode()) is None
    assert ring.unseal(sealed[at + 1 :].encode()) is None


@pytest.mark.parametrize("token", [b"x" * count for count in range(1, 7)], ids=len)
def test_a_token_has_exactly_one_sealed_form(ring: Keyring, token: bytes) -> None:
    """Base64 decoders accept other last digits, padding and the other alphabet: each would be a second form."""
    sealed = ring.seal(token)
    forms = {sealed[:-1] + last for last in BASE64URL}
    forms |= {sealed + "=" * count for count in (1, 2, 3)} | {sealed.replace("-", "+").replace("_", "/"), f"{sealed}\n"}
    assert [form for form in forms if ring.unseal(form.encode()) is not None] == [sealed]


@given(token=st.binary(min_size=1, max_size=64))
def test_a_token_sealed_under_another_key_does_not_unseal(ring: Keyring, token: bytes) -> None:
    other = keyring(OTHER_KEY)
    assert other.unseal(ring.seal(token).encode()) is None
    assert ring.unseal(other.seal(token).encode()) is None


@given(audit_keys=st.lists(KEYS, min_size=2, max_size=2, unique=True))
def test_every_derived_value_differs_between_keys(audit_keys: list[str]) -> None:
    first, second = map(Keyring, audit_keys)
    assert first.key_id != second.key_id
    assert first.fingerprint(b"token") != second.fingerprint(b"token")
    assert first.seal(b"token") != second.seal(b"token")
    assert first.pseudonym("user") != second.pseudonym("user")
    assert first.sign(b"data") != second.sign(b"data")


@given(audit_key=KEYS)
def test_a_key_id_has_eight_digits_and_is_part_of_no_other_derived_value(audit_key: str) -> None:
    """Not of the key itself, of fingerprints and signatures of likely labels, or of the other derived keys."""
    ring = Keyring(audit_key)
    assert len(ring.key_id) == 8
    assert ring.key_id == derived(audit_key, "key id").hex()[:8]
    assert ring.key_id not in audit_key.encode().hex()
    for label in (b"", b"key id", b"keyspace-functions/key id", b"keyspace-functions/key id\x01"):
        assert ring.key_id not in ring.fingerprint(label)
        assert ring.key_id not in ring.sign(label)
    assert all(ring.key_id not in derived(audit_key, label).hex() for label in ("seal", "sign", "user"))


def test_a_keyring_shows_no_key(ring: Keyring) -> None:
    ring.seal(b"token")  # creates the cached cipher
    secrets = [AUDIT_KEY, *(repr(derived(AUDIT_KEY, label))[2:-1] for label in ("seal", "sign", "user"))]
    secrets += [derived(AUDIT_KEY, label).hex() for label in ("seal", "sign", "user")]
    for shown in (repr(ring), str(ring), f"{ring}", repr([ring]), repr(keyrings(AUDIT_KEY, OTHER_KEY))):
        assert "Keyring" in shown
        assert not [secret for secret in secrets if secret in shown]
    other = Keyring(OTHER_KEY)
    with pytest.raises(AssertionError) as failure:
        assert ring == other
    assert not [secret for secret in [*secrets, OTHER_KEY] if secret in str(failure.value)]


def test_keyrings_has_the_present_key_first_and_the_previous_key_if_one_is_set() -> None:
    assert [ring.key_id for ring in keyrings(AUDIT_KEY)] == [Keyring(AUDIT_KEY).key_id]
    assert [ring.key_id for ring in keyrings(AUDIT_KEY, OTHER_KEY)] == [
        Keyring(AUDIT_KEY).key_id,
        Keyring(OTHER_KEY).key_id,
    ]
    assert keyrings(AUDIT_KEY)[0] is keyring(AUDIT_KEY)
