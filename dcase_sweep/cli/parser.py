"""How a verb's own options are read."""

import argparse
from typing import NoReturn

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: Help for the option of that name.
CONFIG_DIR = "your own configuration files; a class that one of them names may be one of a checkpoint too"


class OneLineParser(argparse.ArgumentParser):
    """A parser that refuses in one line, as everything else does, instead of with its usage."""

    def error(self, message: str) -> NoReturn:
        """Refuse.

        Raises:
            UserError: always.
        """
        raise UserError(f"{printable(message)}; see {self.prog} --help")
