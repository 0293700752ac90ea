"""Passwords are masked wherever a URL is shown or written."""

import pytest

from dcase_sweep.utils.secrets import is_masked, mask_secrets, mask_url, mask_values, mask_word, split_credentials

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://ann:hunter2@host:5000", "http://ann:***@host:5000"),
        ("https://ann:p@hunter2@host/path", "https://ann:***@host/path"),
        ("https://ann:a/hunter2@host/path", "https://ann:***@host/path"),
        ("https://ann:a?hunter2#@host", "https://ann:***@host"),
        ("https://ann:a'hunter2\" b@host", "https://ann:***@host"),
        ("https://ann:hunter2%40@host", "https://ann:***@host"),
        ("https://hunter2@host/mlflow", "https://***@host/mlflow"),
        ("https://hunter2:@host", "https://***:***@host"),
        ("https://hunter2:x-oauth-basic@host", "https://***:***@host"),
        ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
        (
            "postgresql+psycopg://ann:hunter2@host/db?sslmode=require",
            "postgresql+psycopg://ann:***@host/db?sslmode=require",
        ),
        ("postgresql://host:5432/db?user=ann&password=hunter2", "postgresql://host:5432/db?user=ann&password=***"),
        ("postgresql://host/db?sslpassword=a@hunter2&x=1", "postgresql://host/db?sslpassword=***&x=1"),
        ("postgresql://host:5432/db?password=a@hunter2", "postgresql://host:5432/db?password=***"),
        ("mysql://host/db?passwd=hunter2", "mysql://host/db?passwd=***"),
        ("https://host/?access_token=hunter2", "https://host/?access_token=***"),
        ("https://host/?api-key=hunter2;q=1", "https://host/?api-key=***;q=1"),
        ("https://store.host/x?sv=1&sig=hunter2", "https://store.host/x?sv=1&sig=***"),
        ("https://s3.host/x?X-Amz-Signature=hunter2", "https://s3.host/x?X-Amz-Signature=***"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dhunter2", "mssql+pyodbc:///?odbc_connect=***"),
    ],
)
def test_only_the_secret_of_a_url_is_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown
    assert SECRET not in mask_secrets(f"error: {url} cannot be reached", url)
    assert SECRET not in mask_word(f"tracking.uri={url}")
    assert SECRET not in str(mask_values({"tracking": {"uri": url, "tags": [f"a={url}"]}}))


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000",
        "sqlite:////home/ann/mlruns/mlflow.db",
        "sqlite:///mlruns/mlflow.db?timeout=60",
        "postgresql://ann@host:5432/db",
        "s3://bucket/path",
        "ssh://git@host/repository",
        "mail ann@example.org, see https://example.org/a and file:///a/b@c",
        "dcase_sweep.signature=0123",
        "model=cnn5",
        "no password: here@there",
    ],
)
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert mask_secrets(text) == text
    assert mask_word(text) == text
    assert mask_values([text, 1, None, 2.5, True]) == [text, 1, None, 2.5, True]


def test_every_url_of_a_text_is_masked() -> None:
    text = "http://a:hunter2@x and\n'postgresql://b:hunter2@y/z?password=hunter2' <https://c:hunter2@z>"

    assert mask_secrets(text) == "http://a:***@x and\n'postgresql://b:***@y/z?password=***' <https://c:***@z>"


def test_masking_twice_changes_nothing() -> None:
    text = "postgresql://host/db?password=***: not there, nor http://ann:***@host: and its rest"

    assert mask_secrets(text) == text


def test_keys_that_name_a_secret_hide_their_values() -> None:
    found = mask_values({"logger": {"api_key": "hunter2", "name": "x"}, "a.password": "hunter2", "token": ""})

    assert found == {"logger": {"api_key": "***", "name": "x"}, "a.password": "***", "token": ""}
    assert mask_word("+logger.api_key=hunter2") == "+logger.api_key=***"
    assert mask_word("tracking.uri='http://a:hun ter2@x'") == "tracking.uri='http://a:***@x'"


@pytest.mark.parametrize(
    ("url", "bare", "user", "password"),
    [
        ("http://ann:pw@host:5000/x", "http://host:5000/x", "ann", "pw"),
        ("http://ann:p@w@host", "http://host", "ann", "p@w"),
        ("http://ann:p%40w%2F@host", "http://host", "ann", "p@w/"),
        ("http://ann:p/w@host", "http://host", "ann", "p/w"),
        ("http://token@host", "http://host", "token", ""),
        ("http://host:5000/#/a", "http://host:5000/#/a", None, None),
    ],
)
def test_credentials_are_split_from_a_web_address(url: str, bare: str, user: str | None, password: str | None) -> None:
    assert split_credentials(url) == (bare, user, password)


def test_a_masked_url_is_recognised() -> None:
    assert is_masked(mask_url("http://ann:pw@host"))
    assert is_masked(mask_url("postgresql://host/db?password=x"))
    assert not is_masked("http://ann:pw@host")
