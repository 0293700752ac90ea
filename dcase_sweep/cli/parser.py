"""Parsing of the options of verbs."""

import argparse
from typing import NoReturn

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: Help text of the option with this name.
CONFIG_DIR = "your own configuration files; a class that one of them names may be one of a checkpoint too"


class OneLineParser(argparse.ArgumentParser):
    """A parser that reports errors in one line, like all other commands, instead of with its usage."""

    def error(self, message: str) -> NoReturn:
        """Report an error.

        Raises:
            UserError: always.
        """
        raise UserError(f"{printable(message)}; see {self.prog} --help")
