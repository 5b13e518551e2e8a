"""Texts of exceptions: what they hold of URLs is told without user and query (T41)."""

import time

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from otelc2c.measure.texts import without_secrets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no such luck", "no such luck"),
        ("is that so? I think", "is that so? I think"),
        ("mail me@example.com #1", "mail me@example.com #1"),
        ("see http://shop/a", "see http://shop/a"),
        ("see http://shop/a?token=s3cret, then", "see http://shop/a?REDACTED then"),
        ("see http://shop/a#s3cret", "see http://shop/a#REDACTED"),
        ("with url: /a/b?token=s3cret (Caused by", "with url: /a/b?REDACTED (Caused by"),
        ("at 'postgresql://me:s3cret@db:5432/shop'", "at 'postgresql://db:5432/shop'"),
        ("http://me:s3cret@a,http://me:s3cret@b/c", "http://a,http://b/c"),
        ("http://a/?u=http://me:s3cret@b/", "http://a/?REDACTED"),
        ('"http://me:s3cret@a" <http://b?s3cret>', '"http://a" <http://b?REDACTED>'),
        ("http://shop/@me/x", "http://shop/@me/x"),
    ],
)
def test_urls_are_told_without_user_and_query(text: str, told: str) -> None:
    assert without_secrets(text) == told


def test_what_requests_raises_is_told_without_them() -> None:
    """The text of a refused connection holds path and query."""
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get("http://me:s3cret@127.0.0.1:1/a?token=s3cret#s3cret", timeout=5)
    assert "s3cret" in str(caught.value)
    told = without_secrets(str(caught.value))
    assert "s3cret" not in told
    assert "Max retries exceeded with url: /a?REDACTED (Caused by" in told


@given(st.text(max_size=30), st.text("ab:%.-_~!$&'()*+,;=", max_size=20), st.text(max_size=30))
def test_no_secret_is_left(before: str, user: str, after: str) -> None:
    text = f"{before} http://{user}S3CRET:{user}S3CRET@shop/a?{user}S3CRET&b=S3CRET {after}"
    assert "S3CRET" not in without_secrets(text)


@pytest.mark.parametrize("piece", ["://", "@", "?", "/?", "http://a:b@", "a" * 50, "a ? "])
def test_time_is_linear(piece: str) -> None:
    """A megabyte of anything."""
    text = "?" + piece * (1_000_000 // len(piece))
    begun = time.thread_time()
    without_secrets(text)
    assert time.thread_time() - begun < 3
