"""A convolutional clip classifier of any depth: the DCASE 2021 task 1A baseline and its extensions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from dcase_sweep.models.planned_layer import PlannedLayer
from dcase_sweep.ops.can_fuse import can_fuse
from dcase_sweep.ops.relu_block import is_faster, relu_block


@dataclass(frozen=True, slots=True)
class Block:
    """Convolution, batch normalisation and ReLU, with optional max-pooling and dropout."""

    filters: int
    kernel: tuple[int, int]
    #: ``(mel, frame)``, or None for no pooling.
    pool: tuple[int, int] | None
    dropout: float

    @staticmethod
    def parse(position: int, entry: Mapping[str, Any]) -> "Block":
        """Read a block from one entry of the list in the configuration.

        Raises:
            ValueError: for a missing or unknown key or an impossible value.
        """
        where = f"blocks[{position}]"
        if not isinstance(entry, Mapping):
            raise ValueError(f"{where}: a {type(entry).__name__}; expected filters, kernel, pool, dropout")
        unknown = sorted(set(entry) - {"filters", "kernel", "pool", "dropout"})
        if unknown:
            raise ValueError(f"{where}: unknown key {unknown[0]!r}; expected filters, kernel, pool, dropout")
        if "filters" not in entry or "kernel" not in entry:
            raise ValueError(f"{where}: expected at least filters and kernel; found {', '.join(entry) or 'nothing'}")
        filters, pool = entry["filters"], entry.get("pool")
        if not isinstance(filters, int) or filters < 1:
            raise ValueError(f"{where}.filters={filters}: expected a positive whole number")
        block = Block(
            filters,
            _pair(f"{where}.kernel", entry["kernel"]),
            None if pool is None else _pair(f"{where}.pool", pool),
            _probability(f"{where}.dropout", entry.get("dropout", 0.0)),
        )
        if block.kernel[0] % 2 == 0 or block.kernel[1] % 2 == 0:
            raise ValueError(f"{where}.kernel={list(block.kernel)}: expected odd sizes, so that the map keeps its size")
        return block


def _pair(where: str, value: Any) -> tuple[int, int]:
    sizes = [value, value] if isinstance(value, int) else list(value) if isinstance(value, Sequence) else []
    if len(sizes) != 2 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(f"{where}={value}: expected [mel, frame], two positive whole numbers")
    return sizes[0], sizes[1]


def _probability(where: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(f"{where}={value}: expected a probability from 0 to below 1")
    return float(value)


def resolve_blocks(blocks: Sequence[Mapping[str, Any]], depth: int | None) -> list[Block]:
    """Return the first ``depth`` blocks; a depth beyond the list repeats its last entry without pooling."""
    if not blocks:
        raise ValueError("blocks is empty; expected at least one block")
    parsed = [Block.parse(position, entry) for position, entry in enumerate(blocks)]
    if depth is None:
        return parsed
    if depth < 1:
        raise ValueError(f"depth={depth}: expected at least 1")
    last = parsed[-1]
    more = Block(last.filters, last.kernel, None, last.dropout)
    return parsed[:depth] + [more] * (depth - len(parsed))


def _place_blocks(
    input_shape: tuple[int, int], blocks: Sequence[Block], units: int, dropout: float
) -> list[tuple[Block, tuple[int, int]]]:
    """Return each block with the ``(mel, frame)`` that is left of the map after it.

    Raises:
        ValueError: for a pool that is larger than the map at its place, or an impossible value of the head.
    """
    if units < 1:
        raise ValueError(f"units={units}: expected at least 1")
    mels, frames = input_shape
    placed = []
    for position, block in enumerate(blocks):
        if block.pool is not None:
            if block.pool[0] > mels or block.pool[1] > frames:
                largest = f"[{min(block.pool[0], mels)},{min(block.pool[1], frames)}]"
                raise ValueError(
                    f"blocks[{position}].pool={list(block.pool)}: only {mels} × {frames} (mel × frame) is left of "
                    f"the map; use a smaller pool here or before: model.blocks.{position}.pool={largest} fits"
                )
            mels, frames = mels // block.pool[0], frames // block.pool[1]
        placed.append((block, (mels, frames)))
    _probability("dropout", dropout)
    return placed


def _convolution(channels: int, block: Block) -> list[nn.Module]:
    """Create the layers of one block, initialised as in Keras (Glorot-uniform kernels, zero biases)."""
    convolution = nn.Conv2d(channels, block.filters, block.kernel, padding="same")
    nn.init.xavier_uniform_(convolution.weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    # Keras' momentum 0.99 is the weight of the old running statistics; PyTorch's is that of the new ones.
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(block.filters, eps=1e-3, momentum=0.01), nn.ReLU()]
    if block.pool is not None:
        layers.append(nn.MaxPool2d(block.pool))
    if block.dropout:
        layers.append(nn.Dropout(block.dropout))
    return layers


def _dense(inputs: int, outputs: int) -> nn.Linear:
    """Create a dense layer with Keras' ``uniform`` initialiser: weights in ±0.05, zero biases."""
    layer = nn.Linear(inputs, outputs)
    nn.init.uniform_(layer.weight, -0.05, 0.05)
    nn.init.zeros_(layer.bias)
    return layer


class CNN(nn.Module):
    """Blocks of convolutions over the mel spectrogram and a dense head.

    With the baseline's three blocks this is the DCASE 2021 task 1A baseline system (Martín-Morató et al., 2021), in
    Keras' terms: kernels Glorot-uniform, dense layers uniform ±0.05, batch normalisation with epsilon 1e-3 and
    momentum 0.99.

    Args:
        input_shape: ``(mel, frame)`` of a clip.
        classes: number of classes.
        blocks: a mapping for each block: ``filters``, ``kernel`` [mel, frame], ``pool`` [mel, frame] or None,
            ``dropout``.
        depth: number of blocks; None uses all of them. A depth beyond the list repeats its last block without pooling.
        units: units of the dense layer.
        dropout: probability of dropout in the head; the blocks have their own.

    Raises:
        ValueError: for a pool that is larger than the map at its place, or an impossible value.
    """

    kind = "scenes"
    #: The function that builds the same network in Keras.
    keras_twin = "dcase_sweep.training.keras.network.cnn"

    def __init__(
        self,
        *,
        input_shape: tuple[int, int],
        classes: int,
        blocks: list[dict[str, Any]],
        depth: int | None = None,
        units: int = 100,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        placed = _place_blocks(input_shape, resolve_blocks(blocks, depth), units, dropout)
        channels = 1
        layers: list[nn.Module] = []
        for block, _ in placed:
            layers += _convolution(channels, block)
            channels = block.filters
        mels, frames = placed[-1][1]
        self.convolutions = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            _dense(channels * mels * frames, units),
            nn.ReLU(),
            nn.Dropout(float(dropout)),
            _dense(units, classes),
        )

    @classmethod
    def plan_layers(
        cls,
        *,
        input_shape: tuple[int, int],
        classes: int,
        blocks: Sequence[Mapping[str, Any]],
        depth: int | None = None,
        units: int = 100,
        dropout: float = 0.3,
        statistics: bool = True,
    ) -> list[PlannedLayer]:
        """Return the layers of the network with these arguments, which is not built, as its trace finds them.

        An operation needs its input and its output; batch normalisation and ReLU overwrite theirs.

        Args:
            input_shape: as of the network, like the other arguments.
            statistics: whether the running statistics of batch normalisation count as parameters.

        Raises:
            ValueError: for what the constructor does not accept.
        """
        mels, frames = input_shape
        channels, before, position = 1, mels * frames, 0
        layers = []
        for block, size in _place_blocks(input_shape, resolve_blocks(blocks, depth), units, dropout):
            after = block.filters * mels * frames
            weights = channels * block.kernel[0] * block.kernel[1]
            name, norm = f"convolutions.{position}", f"convolutions.{position + 1}"
            layers.append(PlannedLayer(name, "Conv2d", block.filters * (weights + 1), after * weights, before + after))
            pooled = after
            mels, frames = size
            if block.pool is not None:
                pooled = block.filters * mels * frames
            live = after if block.pool is None else after + pooled
            layers.append(PlannedLayer(norm, "BatchNorm2d", block.filters * (4 if statistics else 2), 0, live))
            channels, before = block.filters, pooled
            position += 3 + (block.pool is not None) + bool(block.dropout)
        for name, outputs in (("head.1", units), ("head.4", classes)):
            layers.append(PlannedLayer(name, "Linear", outputs * (before + 1), outputs * before, before + outputs))
            before = outputs
        return layers

    def forward(self, features: Tensor) -> Tensor:
        """Compute the class logits ``[batch, class]`` of ``[batch, mel, frame]``."""
        logits: Tensor = self.head(self._convolve(features.unsqueeze(1)))
        return logits

    def _convolve(self, maps: Tensor) -> Tensor:
        """Compute all blocks, each as one operation where that is possible and faster."""
        layers = list(self.convolutions)
        if not can_fuse(maps, self.convolutions, *layers):
            result: Tensor = self.convolutions(maps)
            return result
        while layers:
            match layers:
                case [nn.Conv2d() as convolution, nn.BatchNorm2d() as norm, nn.ReLU(), *others] if is_faster(
                    maps, convolution
                ):
                    after = others[0] if others else None
                    pool = after.kernel_size if isinstance(after, nn.MaxPool2d) else None
                    assert not isinstance(pool, int)  # as blocks are parsed
                    maps, layers = relu_block(maps, convolution, norm, pool), others[pool is not None :]
                case [layer, *others]:
                    maps, layers = layer(maps), others
        return maps
