"""A network of this project's own: ``model=small``."""

from torch import Tensor, nn


class SmallCNN(nn.Module):
    """Two convolutions and global average pooling.

    Every keyword argument is a key of ``model``: conf/model/small.yaml sets its value, and ``model.width=16`` on the
    command line changes it.

    Args:
        input_shape: number of mel bands and frames of a clip's features, set by the front end.
        classes: number of scenes, set by the data.
        width: channels of the first convolution.
        dropout: dropout probability before the last layer.
    """

    kind = "scenes"

    def __init__(self, *, input_shape: tuple[int, int], classes: int, width: int, dropout: float) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width={width}: expected at least 1")
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, kernel_size=3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, classes),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Compute logits ``[batch, class]`` of features ``[batch, mel, frame]``."""
        logits: Tensor = self.layers(features.unsqueeze(1))
        return logits
