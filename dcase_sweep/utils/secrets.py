"""Masking of passwords and tokens in URLs, command lines and configurations before they are printed or written."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
#: Hydra writes overrides with a backslash before colons and equals signs.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*\\?://"
#: Names of secret values: configuration keys, and parameters of a URL or a connection string.
_KEYS = r"[\w.\-]*(?:password|passwd|passphrase|pwd|token|secret|api[_-]?key|access[_-]?key|credentials?|authorization)"
_NAMES = rf"{_KEYS}|odbc_connect|pass|sig|[\w\-]*signature|auth|key"
#: Those whose value is a secret even if it is a number: a token may also be a part of a sentence, and have a number.
_PASSWORDS = re.compile(r"[\w.\-]*(?:password|passwd|passphrase|pwd|secret)", re.IGNORECASE)
#: In a text, a URL ends at a blank or a quotation mark.
_IN_TEXT = r"[^\s'\"<>`]"
_PARAMETER = re.compile(rf"([?&;#](?:{_NAMES})\\?=)(?!{re.escape(MASK)})((?:(?![&;]){_IN_TEXT})+)", re.IGNORECASE)
_PARAMETER_OF_URL = re.compile(rf"([?&;#](?:{_NAMES})\\?=)([^&;]+)", re.IGNORECASE)
_KEY = re.compile(_KEYS, re.IGNORECASE)
#: A value outside of URLs: quoted, or up to a blank or a sign that ends it; nothing that is masked, empty or null.
_QUOTED = r"""'(?:[^'\\\n]|\\.)+'|"(?:[^"\\\n]|\\.)+\""""
_NOTHING = rf"(?!['\"]?{re.escape(MASK)}|(?:null|true|false)\b|['\"]{{2}}|\$\{{)"
_ELSEWHERE = (
    # host=h password=..., hydra.job.env_set.NAME_PASSWORD=...
    re.compile(rf"""((?<![\w.\-?&;#])\+{{0,2}}{_KEYS}=){_NOTHING}({_QUOTED}|[^\s'"`,;&}})\]]+)""", re.IGNORECASE),
    # {api_key:...}, {"password": "..."}
    re.compile(
        rf"""([{{,]\s*['"]?{_KEYS}['"]?\s*:\s*+){_NOTHING}({_QUOTED}|[^'"{{}}\[\],\n][^,}}\n]*)""", re.IGNORECASE
    ),
    # a line of YAML
    re.compile(
        rf"^(\s*(?:- )?['\"]?{_KEYS}['\"]?: ++){_NOTHING}(?![\d.]+$)([^\s{{\[].*)$", re.IGNORECASE | re.MULTILINE
    ),
)
#: The password ends at the last @, so that an @, a slash or a colon that was not encoded belongs to it.
_USER = re.compile(rf"({_SCHEME})([^:/?#@\s'\"]*?\\?):({_IN_TEXT}*)@")
_USER_OF_URL = re.compile(rf"({_SCHEME})([^:/?#@]*?\\?):(.*)@", re.DOTALL)
#: A user name without a password in a web address is a token, as with GitHub.
_TOKEN = re.compile(r"(https?\\?://)([^:/?#@\s'\"]+)@", re.IGNORECASE)


def mask_secrets(text: str, *urls: str | None) -> str:
    """Mask the secrets of all URLs in a text: passwords, tokens, and parameters such as ``?password=``.

    Args:
        text: any text.
        urls: known URLs that the text may contain. Their passwords may contain blanks and quotation marks, which
            otherwise end a URL in a text.
    """
    for url in urls:
        if url:
            text = text.replace(url, mask_url(url))
    for pattern in _ELSEWHERE:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    if "://" not in text:
        return text
    text = _PARAMETER.sub(rf"\g<1>{MASK}", text)
    return _TOKEN.sub(rf"\g<1>{MASK}@", _USER.sub(_masked_user, text))


def mask_url(url: str) -> str:
    """Mask the secrets of one URL. The user name is kept, so that the URL can be recognised."""
    if not re.match(_SCHEME, url):
        return mask_secrets(url)
    url = _PARAMETER_OF_URL.sub(rf"\g<1>{MASK}", url)
    return _TOKEN.sub(rf"\g<1>{MASK}@", _USER_OF_URL.sub(_masked_user, url))


def _masked_user(found: re.Match[str]) -> str:
    scheme, user, password = found.groups()
    if password in ("", "x-oauth-basic") and user:  # the name is the token
        user = MASK + ("\\" if user.endswith("\\") else "")
    return f"{scheme}{user}:{MASK}@"


@lru_cache(maxsize=10_000)
def mask_word(word: str) -> str:
    """Mask the secrets of one word of a command line, such as ``tracking.uri='http://user:password@host'``."""
    key, equals, value = word.partition("=")
    if not equals or "://" in key:
        return mask_url(word)
    if value and is_secret(key) and value.lower() not in ("null", "true", "false") and not value.startswith("${"):
        return f"{key}={MASK}"
    quote = value[:1] if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1 else ""
    inner = value[1:-1] if quote else value
    return f"{key}={quote}{mask_url(inner)}{quote}"


def is_secret(key: str) -> bool:
    """Whether the last part of a configuration key names a password or a token."""
    return _KEY.fullmatch(key.lstrip("+").rpartition(".")[2]) is not None


def mask_values(value: Any) -> Any:
    """Mask the secrets in the values of a configuration of plain containers, flat or nested."""
    if isinstance(value, str):
        return mask_word(value)
    if isinstance(value, Mapping):
        return {
            key: MASK if isinstance(key, str) and _holds_secret(key, each) else mask_values(each)
            for key, each in value.items()
        }
    if isinstance(value, Sequence):
        return [mask_values(each) for each in value]
    return value


def _holds_secret(key: str, value: Any) -> bool:
    """Whether the value of a key is a secret: a text, a list of texts, or a number that is a password."""
    if isinstance(value, str):
        return bool(value) and is_secret(key)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _PASSWORDS.fullmatch(key.lstrip("+").rpartition(".")[2]) is not None
    is_list = isinstance(value, Sequence) and len(value) > 0
    return is_list and is_secret(key) and all(isinstance(each, str) for each in value)


def masked_yaml(config: Any) -> str:
    """Write a configuration as YAML with its secrets masked; interpolations are kept."""
    from omegaconf import OmegaConf

    from dcase_sweep.utils.yaml_text import to_yaml

    return to_yaml(mask_values(OmegaConf.to_container(config, resolve=False, enum_to_str=True)))


def is_masked(url: str) -> bool:
    """Whether a URL contains a masked password, because it was copied from output of this package."""
    return f":{MASK}@" in url or f"//{MASK}@" in url or f"={MASK}" in url


def split_credentials(url: str) -> tuple[str, str | None, str | None]:
    """Split a web address into the address without credentials, the decoded user name and password, or None for both.

    An @ or a slash in the password need not be encoded, because the password ends at the last @.
    """
    found = re.match(rf"({_SCHEME})([^/?#@:]*)(?::(.*))?@([^@]*)$", url, re.DOTALL)
    if found is None:
        return url, None, None
    scheme, user, password, rest = found.groups()
    if password is None and "/" in urlsplit(url).netloc:
        return url, None, None
    return scheme + rest, unquote(user), unquote(password or "")


def encode_password(where: str) -> str:
    """Percent-encode the password of a URL for SQLAlchemy, because users often do not encode an @ or a slash."""
    head, mark, query = where.partition("?")
    if "@" not in head:  # in front of a question mark in the password
        head, mark, query = where, "", ""
    bare, user, password = split_credentials(head)
    if not user or not password:
        return where
    scheme, _, rest = bare.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}{mark}{query}"
