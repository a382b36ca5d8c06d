"""What follows from an AUDIT_KEY: always the same, checked against the standard library, and nothing of the key."""

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
    """Test case 2 of RFC 4231, whose key is text."""
    assert Keyring("Jefe").fingerprint(b"what do ya want for nothing?") == "5bdcc146bf60754e6a042426089575c7"


@given(audit_key=KEYS, secret=st.binary(max_size=200))
def test_a_fingerprint_is_the_start_of_the_standard_library_s_hmac(audit_key: str, secret: bytes) -> None:
    expected = hmac.new(audit_key.encode(), secret, hashlib.sha256).hexdigest()[:FINGERPRINT_DIGITS]
    assert Keyring(audit_key).fingerprint(secret) == expected


@given(audit_key=KEYS, user_id=st.text(st.characters(exclude_categories=("Cs",)), max_size=200))
def test_a_pseudonym_is_hmac_sha_1_with_the_published_pads(audit_key: str, user_id: str) -> None:
    ring = Keyring(audit_key)
    user_key = derived(audit_key, "user")
    assert ring.user_pads == (bytes(b ^ 0x36 for b in user_key), bytes(b ^ 0x5C for b in user_key))
    assert ring.pseudonym(user_id) == "~" + hmac.new(user_key, user_id.encode(), hashlib.sha1).hexdigest()[:32]


@given(data=st.binary(max_size=200))
def test_a_signature_is_hmac_sha_256_under_a_key_of_its_own(data: bytes) -> None:
    expected = hmac.new(derived(AUDIT_KEY, "sign"), data, hashlib.sha256).hexdigest()
    assert Keyring(AUDIT_KEY).sign(data) == expected
    assert not expected.startswith(Keyring(AUDIT_KEY).fingerprint(data))


@given(token=st.binary(min_size=1, max_size=300))
@example(b"\0")
@example(b"x" * 4096)
def test_a_sealed_token_is_one_plain_word_that_opens_to_the_token(ring: Keyring, token: bytes) -> None:
    sealed = ring.seal(token)
    assert set(sealed) <= set(BASE64URL)
    assert ring.unseal(sealed.encode()) == token


@given(token=st.binary(min_size=1, max_size=64))
def test_a_token_is_sealed_to_the_same_text_by_every_process(token: bytes) -> None:
    assert Keyring(AUDIT_KEY).seal(token) == Keyring(AUDIT_KEY).seal(token)


@given(tokens=st.lists(st.binary(min_size=1, max_size=8), min_size=2, max_size=2, unique=True))
def test_different_tokens_are_sealed_and_marked_differently(ring: Keyring, tokens: list[bytes]) -> None:
    one, other = tokens
    assert ring.seal(one) != ring.seal(other)
    assert ring.fingerprint(one) != ring.fingerprint(other)


@given(token=st.binary(min_size=6, max_size=64))
def test_a_sealed_token_shows_nothing_of_the_token(ring: Keyring, token: bytes) -> None:
    raw = base64.urlsafe_b64decode(ring.seal(token) + "==")
    assert len(raw) == len(token) + 16
    assert token not in raw


@given(raw=st.binary(max_size=200))
@example(b"")
@example(b"=")
@example(b"A")
@example(b"A" * 22)
@example(b"\xff" * 40)
def test_what_was_never_sealed_opens_to_nothing(ring: Keyring, raw: bytes) -> None:
    assert ring.unseal(raw) is None


@given(text=st.text(BASE64URL + "+/=", max_size=100))
def test_what_only_looks_sealed_opens_to_nothing(ring: Keyring, text: str) -> None:
    assert ring.unseal(text.encode()) is None


@given(token=st.binary(min_size=1, max_size=64), data=st.data())
def test_a_sealed_token_with_any_change_opens_to_nothing(ring: Keyring, token: bytes, data: st.DataObject) -> None:
    sealed = ring.seal(token)
    at = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.sampled_from(BASE64URL.replace(sealed[at], "") + "+/="))
    for altered in (sealed[:at] + other + sealed[at + 1 :], sealed[:at] + other + sealed[at:], sealed + other):
        assert ring.unseal(altered.encode()) is None
    assert ring.unseal(sealed[:at].encode()) is None
    assert ring.unseal(sealed[at + 1 :].encode()) is None


@pytest.mark.parametrize("token", [b"x" * count for count in range(1, 7)], ids=len)
def test_a_token_has_one_sealed_form_only(ring: Keyring, token: bytes) -> None:
    """A last digit whose low bits base64 ignores, padding, and the other alphabet would each be a second one."""
    sealed = ring.seal(token)
    forms = {sealed[:-1] + last for last in BASE64URL}
    forms |= {sealed + "=" * count for count in (1, 2, 3)} | {sealed.replace("-", "+").replace("_", "/"), f"{sealed}\n"}
    assert [form for form in forms if ring.unseal(form.encode()) is not None] == [sealed]


@given(token=st.binary(min_size=1, max_size=64))
def test_another_key_opens_nothing(ring: Keyring, token: bytes) -> None:
    other = keyring(OTHER_KEY)
    assert other.unseal(ring.seal(token).encode()) is None
    assert ring.unseal(other.seal(token).encode()) is None


@given(audit_keys=st.lists(KEYS, min_size=2, max_size=2, unique=True))
def test_different_keys_have_nothing_in_common(audit_keys: list[str]) -> None:
    one, other = map(Keyring, audit_keys)
    assert one.key_id != other.key_id
    assert one.fingerprint(b"token") != other.fingerprint(b"token")
    assert one.seal(b"token") != other.seal(b"token")
    assert one.pseudonym("user") != other.pseudonym("user")
    assert one.sign(b"data") != other.sign(b"data")


@given(audit_key=KEYS)
def test_a_key_id_is_eight_digits_that_give_nothing_away(audit_key: str) -> None:
    """It is no part of the key, of a fingerprint that somebody could ask for, or of another use's key."""
    ring = Keyring(audit_key)
    assert len(ring.key_id) == 8
    assert ring.key_id == derived(audit_key, "key id").hex()[:8]
    assert ring.key_id not in audit_key.encode().hex()
    for label in (b"", b"key id", b"keyspace-functions/key id", b"keyspace-functions/key id\x01"):
        assert ring.key_id not in ring.fingerprint(label)
        assert ring.key_id not in ring.sign(label)
    assert all(ring.key_id not in derived(audit_key, label).hex() for label in ("seal", "sign", "user"))


def test_a_keyring_shows_no_key(ring: Keyring) -> None:
    ring.seal(b"token")  # makes the cipher
    secrets = [AUDIT_KEY, *(repr(derived(AUDIT_KEY, label))[2:-1] for label in ("seal", "sign", "user"))]
    secrets += [derived(AUDIT_KEY, label).hex() for label in ("seal", "sign", "user")]
    for shown in (repr(ring), str(ring), f"{ring}", repr([ring]), repr(keyrings(AUDIT_KEY, OTHER_KEY))):
        assert "Keyring" in shown
        assert not [secret for secret in secrets if secret in shown]
    other = Keyring(OTHER_KEY)
    with pytest.raises(AssertionError) as found:
        assert ring == other
    assert not [secret for secret in [*secrets, OTHER_KEY] if secret in str(found.value)]


def test_the_present_key_comes_first_and_the_one_before_it_only_where_there_is_one() -> None:
    assert [ring.key_id for ring in keyrings(AUDIT_KEY)] == [Keyring(AUDIT_KEY).key_id]
    assert [ring.key_id for ring in keyrings(AUDIT_KEY, OTHER_KEY)] == [
        Keyring(AUDIT_KEY).key_id,
        Keyring(OTHER_KEY).key_id,
    ]
    assert keyrings(AUDIT_KEY)[0] is keyring(AUDIT_KEY)
