"""Keys of other applications: the words that name things are shown, ids, tokens and names of persons are not."""

import re
import string
import uuid
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.privacy.masking import mask_key
from shared.privacy.unknown_keys import shown_parts

AUDIT_KEY = "an audit key of the tests"


def skeleton(key: str, *, hide_users: bool = False) -> str:
    """The key as it is shown, without the digits of fingerprints."""
    return re.sub("~[0-9a-f]{12}", "~", mask_key(key.encode(), AUDIT_KEY, hide_users=hide_users))


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("cart:3f2a77c1", "cart:~"),
        ("bull:emails:17:lock", "bull:emails:~:lock"),
        ("bull:emails:wait", "bull:emails:wait"),
        ("celery-task-meta-5f2c9a3e-7b1d-4c68-9d21-0a1b2c3d4e5f", "celery-task-meta-~"),
        ("_kombu.binding.celery", "_kombu.binding.~"),
        ("sidekiq:stat:processed", "sidekiq:stat:processed"),
        ("PHPREDIS_SESSION:n0rf1k2v7", "PHPREDIS_SESSION:~"),
        ("spring:session:sessions:expires:1f2e", "spring:session:sessions:expires:~"),
        ("cache/pages/7f/ab", "cache/pages/~"),
        ("app:v2:orders:latest", "app:v2:orders:latest"),
        ("rate:127.0.0.1", "rate:~"),
        ("a" * 40 + ":deadbeef:xkcdqwrt:rows", "~:rows"),
        ("fastapi:temp:Data:b-1", "fastapi:temp:Data:~"),
        # Persons and secrets, whatever they look like
        ("user:alice:tokens", "user:~:tokens"),
        ("cart/users/alice/items", "cart/users/~"),
        ("mail:alice@plant.example:count", "mail:~:count"),
        ("count-alice.b@plant.example", "~"),
        ("session:alphabet", "session:~"),
        ("session:secret-7", "session:~"),
        ("nextauth:sessions:alphabet", "nextauth:sessions:~"),
        ("nextauth:other:alphabet:data", "nextauth:~"),
        ("anything", "~"),
    ],
)
def test_prefixes_are_shown_and_what_may_be_an_id_is_not(key: str, shown: str) -> None:
    assert skeleton(key) == shown


def test_where_users_are_hidden_only_words_of_the_list_are_shown() -> None:
    assert skeleton("orders:alice:items") == "orders:alice:items"
    assert skeleton("orders:alice:items", hide_users=True) == "orders:~:items"


CHANCE = Random(7)
BASE64 = string.ascii_letters + string.digits + "-_"


def random_text(alphabet: str, length: int) -> str:
    return "".join(CHANCE.choices(alphabet, k=length))


TOKENS = {
    "hex": lambda: random_text("0123456789abcdef", 16),
    "base64": lambda: random_text(BASE64, 22),
    "uuid": lambda: str(uuid.UUID(int=CHANCE.getrandbits(128))),
    "digits": lambda: random_text(string.digits, 9),
    "letters": lambda: random_text(string.ascii_letters, 21),
    "jwt": lambda: ".".join(f"eyJ{random_text(BASE64, 32)}" for _ in range(3)),
}


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("where", ["{}", "cart:{}", "cart:{}:items", "celery-task-meta-{}", "user:{}:tokens"])
def test_a_random_token_is_never_shown(kind: str, where: str) -> None:
    for _ in range(100):
        token = TOKENS[kind]()
        shown = mask_key(where.format(token).encode(), AUDIT_KEY)
        assert not [start for start in range(len(token) - 7) if token[start : start + 8] in shown], shown


@given(key=st.binary(max_size=80), hide_users=st.booleans())
def test_the_parts_of_any_key_join_to_the_key(key: bytes, hide_users: bool) -> None:
    parts = list(shown_parts(key, hide_users=hide_users))
    assert b"".join(part for part, _ in parts) == key
    assert all(part for part, shown in parts if not shown)
