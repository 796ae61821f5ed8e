"""Convolutional network without global pooling, so that positions in the segment matter."""

from torch import Tensor, nn

from models.classifier import Classifier


class FlatCNN(Classifier):
    """Three blocks of convolution, ReLU, max pooling and batch norm; flatten, and two dense layers.

    The first two convolutions are 3x3 and halve the bins and frames, rounded up; the third is 2x2.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins and n_frames, at least 9 of each; before them n_channels, where there are several.
    n_classes : int
    channels : int
        Channels of every block.
    hidden : int
        Units of the hidden dense layer.
    dropout : float
        After it.

    Raises
    ------
    ValueError
        If the input is smaller than 9 bins by 9 frames.
    """

    def __init__(
        self, input_shape: tuple[int, ...], n_classes: int, channels: int, hidden: int, dropout: float
    ):
        super().__init__()
        n_channels, n_bins, n_frames = (1, *input_shape)[-3:]
        if min(n_bins, n_frames) < 9:
            raise ValueError(f"the blocks take 9 bins x 9 frames or more, not {n_bins} x {n_frames}")
        layers: list[nn.Module] = []
        for n_in in (n_channels, channels):
            layers += [
                nn.Conv2d(n_in, channels, kernel_size=3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(3, stride=2, padding=1),
                nn.BatchNorm2d(channels),
            ]
        layers += [
            nn.Conv2d(channels, channels, kernel_size=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(channels),
        ]
        bins, frames = (((size + 3) // 4 - 1) // 2 for size in (n_bins, n_frames))
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * bins * frames, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, n_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        logits: Tensor = self.head(self.blocks(x.unsqueeze(1) if x.ndim == 3 else x))
        return logits
