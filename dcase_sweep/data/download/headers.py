"""Headers of HTTP responses, which a server may send in any form."""

import email.utils
import re
import time
from collections.abc import Mapping

#: A tag that may be stored and sent back.
_TAG = re.compile(r'"[\x21\x23-\x7e]{1,500}"')


def is_strong_tag(text: str) -> bool:
    """Whether a text is an entity tag that stands for the same bytes; a weak one does not identify single bytes."""
    return _TAG.fullmatch(text) is not None


def strong_tag(headers: Mapping[str, str]) -> str | None:
    """Return the strong entity tag of a response; None if it has none."""
    tag = headers.get("ETag", "").strip()
    return tag if is_strong_tag(tag) else None


def content_range(text: str) -> tuple[int | None, int | None]:
    """Return the first byte and the size of the whole, ``bytes 100-199/200``; None for what it does not say."""
    found = re.fullmatch(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*", text)
    if found is None:
        return None, None
    return int(found[1]), None if found[3] == "*" else int(found[3])


def retry_after(text: str | None) -> float | None:
    """Return the seconds that a server asks to wait: a number, or a date."""
    if text is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", text):
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
