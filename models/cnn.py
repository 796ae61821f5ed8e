"""Convolutional network over a spectrogram."""

from itertools import pairwise

from torch import Tensor, nn

from models.classifier import Classifier


class CNN(Classifier):
    """Blocks of 3x3 convolution, batch norm, 2x2 max pooling and ReLU; global mean and a linear head.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins and n_frames, which every block halves; before them n_channels, where there are several.
    n_classes : int
    channels : list of int
        Channels of each block.
    dropout : float
        Before the head.

    Raises
    ------
    ValueError
        If the input is too small to be halved by every block.
    """

    def __init__(self, input_shape: tuple[int, ...], n_classes: int, channels: list[int], dropout: float):
        super().__init__()
        n_channels, n_bins, n_frames = (1, *input_shape)[-3:]
        if min(n_bins, n_frames) < 2 ** len(channels):
            raise ValueError(
                f"{len(channels)} blocks halve the input {len(channels)} times, "
                f"which is too often for {n_bins} bins x {n_frames} frames"
            )
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise([n_channels, *channels]):
            # Batch norm subtracts the mean, so the convolution needs no bias.
            layers += [
                nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(n_out),
                nn.MaxPool2d(2),
                nn.ReLU(),  # after the pooling: a quarter of the work, the same result
            ]
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        maps = self.blocks(x.unsqueeze(1) if x.ndim == 3 else x)
        logits: Tensor = self.head(maps.mean(dim=(2, 3)))
        return logits
