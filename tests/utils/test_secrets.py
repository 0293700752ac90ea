"""Passwords are masked wherever a URL is shown or written."""

import re

import pytest

from dcase_sweep.utils.secrets import is_masked, mask_secrets, mask_url, mask_values, mask_word, split_credentials

SECRET = "hunter2"


def escape(text: str) -> str:
    """Write a value of an override as Hydra's sweepers do."""
    return re.sub(r"([\\()\[\]{}:=\s,])", r"\\\1", text)


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
    assert SECRET not in mask_word(f"tracking.uri={escape(url)}")


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
        "+model.mask_token=null",
        "model.tokens=12, then {tokens: 5}",
        "password: null",
        "  mask_token: 5",
        "api_key: ${oc.env:KEY}",
        "hydra.job.env_copy=[MLFLOW_TRACKING_PASSWORD]",
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("logger={w:{api_key:hunter2,project:x}}", "logger={w:{api_key:***,project:x}}"),
        ("+logger.w={_target_:a.B,api_key:'hun,ter2 hunter2'}", "+logger.w={_target_:a.B,api_key:***}"),
        ("hydra.job.env_set={MLFLOW_TRACKING_PASSWORD:hunter2}", "hydra.job.env_set={MLFLOW_TRACKING_PASSWORD:***}"),
        ("hydra.job.env_set={A_TOKEN: hunter2, B: 1}", "hydra.job.env_set={A_TOKEN: ***, B: 1}"),
        ('x={"password": "hunter2"}', 'x={"password": ***}'),
        ("headers={Authorization: Bearer hunter2}", "headers={Authorization: ***}"),
        ("host=h dbname=d password=hunter2", "host=h dbname=d password=***"),
        ("dsn='host=h password=hunter2'", "dsn='host=h password=***'"),
        ("uri=http://host/#token=hunter2", "uri=http://host/#token=***"),
        ("uri=https://host/?key=hunter2&a=b", "uri=https://host/?key=***&a=b"),
    ],
)
def test_secrets_outside_of_urls_are_masked(text: str, shown: str) -> None:
    assert mask_word(text) == shown
    assert mask_secrets(f"error: {text}") == f"error: {shown}"
    assert mask_secrets(shown) == shown
    assert mask_values([text]) == [shown]


def test_lines_of_yaml_and_words_in_a_text_are_masked() -> None:
    text = "logger:\n  w:\n    api_key: hunter2\n    'password': 'hunter2 x'\n  n: 1\n- A_TOKEN: hunter2\n"

    shown = "logger:\n  w:\n    api_key: ***\n    'password': ***\n  n: 1\n- A_TOKEN: ***\n"
    assert mask_secrets(text) == shown
    assert mask_secrets("run with +logger.w.api_key=hunter2, please") == "run with +logger.w.api_key=***, please"


def test_numbers_and_lists_may_be_secrets() -> None:
    found = mask_values({"password": 123456, "mask_token": 5, "tokens": 7, "api_key": ["hunter2"], "secret": True})

    assert found == {"password": "***", "mask_token": 5, "tokens": 7, "api_key": "***", "secret": True}


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


def test_an_override_as_hydra_saves_it_keeps_its_other_parts() -> None:
    words = ["++tracking.parent=1", f"tracking.uri={escape('http://ann:hunter2@host:5000')}", "seed=1"]

    assert mask_values(words)[1] == r"tracking.uri=http\://ann\:***@host\:5000"
    assert mask_values(",".join(words)) == r"++tracking.parent=1,tracking.uri=http\://ann\:***@host\:5000,seed=1"
