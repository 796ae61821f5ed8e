"""A published convolutional network for embeddings that are learned from triplets."""

from itertools import pairwise

from torch import Tensor, nn

from models.classifier import Classifier


class EmbeddingCNN(Classifier):
    """Blocks of 5x5 convolution, 2x2 max pooling and ReLU; flatten and two dense layers, each with ReLU.

    Parameters
    ----------
    input_shape : (int, int) or (int, int, int)
        n_bins and n_frames; every block takes off four and halves the rest. Before them n_channels, where
        there are several.
    n_classes : int
        Units of the last layer. It ends in a ReLU, so they are an embedding rather than logits.
    copies : int
        Number of input channels that a mono segment is copied to; 2 as published, for stereo.
    channels : list of int
        Channels of each block.
    hidden : int
        Units of the first dense layer.

    Raises
    ------
    ValueError
        If the input is too small for the blocks.
    """

    def __init__(
        self, input_shape: tuple[int, ...], n_classes: int, copies: int, channels: list[int], hidden: int
    ):
        super().__init__()
        n_channels, n_bins, n_frames = (1, *input_shape)[-3:]
        self.copies = copies
        bins, frames = n_bins, n_frames
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise([n_channels * copies, *channels]):
            layers += [nn.Conv2d(n_in, n_out, kernel_size=5), nn.MaxPool2d(2), nn.ReLU()]
            bins, frames = (bins - 4) // 2, (frames - 4) // 2
        if min(bins, frames) < 1:
            raise ValueError(f"{len(channels)} blocks leave nothing of {n_bins} bins x {n_frames} frames")
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels[-1] * bins * frames, hidden),
            nn.ReLU(),
            nn.Linear(hidden, n_classes),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (batch, n_classes) for segments (batch, [n_channels,] n_bins, n_frames)."""
        x = x.unsqueeze(1) if x.ndim == 3 else x
        output: Tensor = self.head(self.blocks(x.repeat(1, self.copies, 1, 1)))
        return output
