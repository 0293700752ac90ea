"""The search space of a convolutional network whose number of blocks varies, with separate values for each block."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from dcase_sweep.config.bounds import BOUNDS
from dcase_sweep.sweep.optuna.points import make_axis
from dcase_sweep.sweep.optuna.space import FlatSpace, Parameter, Space, only, parse_parameter
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.numbers import is_integer
from dcase_sweep.utils.overrides import override
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

#: The largest number of depths for which blocks are listed.
_DEPTHS = 1000


@dataclass(frozen=True, slots=True)
class BlockSpace:
    """The blocks of a convolutional network. Their number is the trial's depth, and each has its own values.

    Blocks beyond the depth have no parameters. A pool that is larger than the remaining feature map is reduced to its
    size, so that every trial is a valid network.

    Args:
        rest: the space of all other keys, including the depth if it varies.
        parameters: the parameters of each block: ``filters``, ``kernel``, ``pool``, ``dropout``.
        blocks: default values of blocks, from the configuration; beyond the list its last entry is used.
        depth: number of blocks if ``model.depth`` does not vary.
        shape: ``(mel, frame)`` of the input.
    """

    rest: FlatSpace
    parameters: tuple[Parameter, ...]
    blocks: tuple[Mapping[str, Any], ...]
    depth: int
    shape: tuple[int, int]

    def suggest(self, trial: "Trial") -> list[str]:
        """Return the overrides of all other keys, and one override with all blocks."""
        fixed = [line for line in self.rest.suggest(trial) if not line.startswith("model.depth=")]
        depth = int(trial.params.get("model.depth", self.depth))
        left = self.shape
        made = []
        for position in range(depth):
            block = dict(self.blocks[min(position, len(self.blocks) - 1)])
            if position >= len(self.blocks):
                block["pool"] = None
            for parameter in self.parameters:
                value = parameter.suggest(trial, f"model.blocks.{position}.{parameter.key}")
                block[parameter.key] = _value(value) if isinstance(value, str) else value
            pool = _read_pool(block.get("pool"))
            if pool is not None:  # an invalid pool is reported by the check of the network
                pool = [min(pool[0], left[0]), min(pool[1], left[1])]
                left = left[0] // pool[0], left[1] // pool[1]
                block["pool"] = None if pool == [1, 1] else pool
            made.append(block)
        return [*fixed, "model.depth=null", override("model.blocks", made)]

    def describe(self) -> dict[str, str]:
        """Describe each key by its distribution; keys of blocks have ``*`` as their position."""
        of_blocks = {f"model.blocks.*.{parameter.key}": str(parameter.distribution) for parameter in self.parameters}
        return self.rest.describe() | of_blocks

    def list_parts(self) -> "list[dict[str, BaseDistribution]] | None":
        """Return one part for each depth."""
        rest = {each.key: each.distribution for each in self.rest.parameters}
        of_depth = rest.pop("model.depth", None)
        axis = make_axis("model.depth", of_depth) if of_depth is not None else None
        if of_depth is not None and (axis is None or len(axis.values) > _DEPTHS):
            return None
        parts = []
        for depth in [self.depth] if axis is None else axis.values:
            fixed = {} if of_depth is None else {"model.depth": only(of_depth, depth)}
            blocks = {
                f"model.blocks.{position}.{each.key}": each.distribution
                for position in range(int(depth))
                for each in self.parameters
            }
            parts.append(fixed | rest | blocks)
        return parts


@cache
def _value(text: str) -> Any:
    """Parse the text of a choice with Hydra's grammar."""
    return OverridesParser.create().parse_override(f"x={text}").value()


def _read_pool(value: Any) -> list[int] | None:
    """Return a pool as ``[mel, frame]``; None if it is none, or not valid."""
    sizes = value if isinstance(value, list) else [value, value]
    return sizes if len(sizes) == 2 and all(is_integer(size) and size > 0 for size in sizes) else None


def _check_depth(parameter: Parameter) -> None:
    """Check that all values of ``model.depth`` are numbers of blocks.

    Raises:
        UserError: if not.
    """
    distribution = parameter.distribution
    ends = getattr(distribution, "choices", None) or (distribution.low, distribution.high)  # type: ignore[attr-defined]
    sizes = [_value(end) if isinstance(end, str) else end for end in ends]
    wrong = next((size for size in sizes if not is_integer(size) or size < 1), None)
    if wrong is not None:
        raise UserError(
            f"{parameter.key}: {printable(wrong)} is not a number of blocks; expected whole numbers from 1, as in "
            "range(2,6)"
        )


def list_replaced(keys: Iterable[str], of_blocks: Mapping[str, str]) -> dict[str, str]:
    """Return the keys whose values ``search.blocks`` replaces in every block, each with the part that does it.

    Args:
        keys: keys of the configuration.
        of_blocks: the parts of blocks that vary.
    """
    found = {key: re.fullmatch(r"model\.blocks\.\d+\.(\w+)", key) for key in keys}
    return {key: part[1] for key, part in found.items() if part is not None and part[1] in of_blocks}


def _check_reach(parameter: Parameter) -> None:
    """Check that a range is within the bounds of its key; otherwise many trials would be rejected.

    Raises:
        UserError: if not, with the key and its bound.
    """
    low, high = getattr(parameter.distribution, "low", None), getattr(parameter.distribution, "high", None)
    bound = BOUNDS.get(parameter.key, (None, None))[1]
    if low is None or high is None or bound is None:
        return
    if high > bound:
        raise UserError(f"{parameter.key}: values from {low:g} to {high:g}; expected at most {bound:,}")


def make_space(
    parameters: Mapping[str, str],
    of_blocks: Mapping[str, str] | None,
    *,
    parser: OverridesParser,
    blocks: Sequence[Mapping[str, Any]],
    depth: int | None,
    shape: tuple[int, int],
) -> Space:
    """Create the search space of a configuration.

    Args:
        parameters: key → expression.
        of_blocks: parameters that vary in each block, name → expression; None or empty = none.
        blocks: the configured blocks, for parameters that do not vary.
        depth: the configured depth; None = all blocks.
        shape: ``(mel, frame)`` of the input.

    Raises:
        UserError: for an invalid expression, an empty space, or blocks of a network without blocks.
    """
    flat = FlatSpace(tuple(parse_parameter(key, text, parser) for key, text in parameters.items()))
    for parameter in flat.parameters:
        _check_reach(parameter)
    if not of_blocks:
        if not flat.parameters:
            raise UserError("search: nothing varies; expected search=NAME, or a key with choice(), range(), interval()")
        return flat
    if not blocks:
        raise UserError("search.blocks: the model has no list of blocks; expected one such as baseline_cnn")
    replaced = list_replaced([parameter.key.lstrip("+") for parameter in flat.parameters], of_blocks)
    for key, part in replaced.items():
        raise UserError(f"{key}: search.blocks.{part} varies it in every block; leave out one of them")
    for parameter in flat.parameters:
        if parameter.key.lstrip("+") == "model.depth":
            _check_depth(parameter)
        elif re.match(r"model($|\.blocks($|\.))", parameter.key.lstrip("+")):
            raise UserError(
                f"{parameter.key}: search.blocks varies the blocks of one model; expected one value of "
                f"{parameter.key}, or a search without blocks"
            )
    known = ("filters", "kernel", "pool", "dropout")
    for name in of_blocks:
        if name not in known:
            raise UserError(f"search.blocks.{name}: no such part of a block; expected one of {', '.join(known)}")
    inner = tuple(parse_parameter(name, text, parser) for name, text in of_blocks.items())
    return BlockSpace(flat, inner, tuple(blocks), depth or len(blocks), shape)
