"""Layers of networks that are not built."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer with parameters.

    A class of a network may have a function ``plan_layers``, which takes the arguments of its constructor and
    ``statistics``, and returns these layers in the order in which they are used. A search then counts a network without
    building it. A class that inherits from it must have its own.

    Attributes:
        name: its name in the network.
        kind: its class.
        parameters: number of parameters, with the running statistics of batch normalisation if they count.
        multiply_accumulates: multiply-accumulates for one clip.
        live_activations: largest number of activations that are live at the same time from this layer to the next.
    """

    name: str
    kind: str
    parameters: int
    multiply_accumulates: int
    live_activations: int
