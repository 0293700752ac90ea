"""Parsing of the options of verbs."""

import argparse
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: Help text of the option with this name.
CONFIG_DIR = "your own configuration files; a class that one of them names may be one of a checkpoint too"


class OneLineParser(argparse.ArgumentParser):
    """A parser that reports errors in one line, like all other commands, instead of with its usage.

    Texts are printed as they are written, and options cannot be abbreviated.
    """

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(
            prog, **{"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **settings}
        )

    def error(self, message: str) -> NoReturn:
        """Report an error.

        Raises:
            UserError: always.
        """
        raise UserError(f"{printable(message)}; see {self.prog} --help")


def split_settings(words: Sequence[str], keys: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Separate keys with values, also those that name classes, from other words. The name of a file may contain an
    equals sign.

    Raises:
        UserError: for a key without a value.
    """
    from dcase_sweep.config.classes import names_code

    settings, others = {}, []
    for word in words:
        key, _, value = word.partition("=")
        is_setting = key in keys or names_code(key)
        if is_setting and not value:
            raise UserError(f"{word}: no value; expected KEY=VALUE")
        if is_setting:
            settings[key] = value
        else:
            others.append(word)
    return settings, others
