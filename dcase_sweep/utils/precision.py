"""The precisions that the parameters of a network are counted at."""

from typing import Literal

Bits = Literal[32, 16, 8]
PRECISIONS: tuple[Bits, ...] = (32, 16, 8)
