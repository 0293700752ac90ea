"""The precisions at which the parameters of a network are counted."""

from typing import Literal

Bits = Literal[32, 16, 8]
PRECISIONS: tuple[Bits, ...] = (32, 16, 8)
