"""PyTorch classifiers: ``forward(x)`` takes (batch, *input_shape) and returns logits (batch, n_classes).

A model is named by `_target_` in conf/model/; its constructor takes ``input_shape`` and ``n_classes``,
which come from the features file, and the keys of its conf file. An input shape is (n_bins, n_frames), or
(n_channels, n_bins, n_frames), such as that of codes behind `models.one_hot.OneHotInput`.
"""

from models.choi import ChoiCNN, ChoiCRNN
from models.classifier import Classifier
from models.cnn import CNN
from models.conv_blocks import BlocksCNN
from models.embedding_cnn import EmbeddingCNN
from models.encore_cnn import EncoreCNN
from models.flat_cnn import FlatCNN
from models.linear import Linear
from models.lstm import LSTM
from models.mlp import MLP

__all__ = [
    "CNN",
    "LSTM",
    "MLP",
    "BlocksCNN",
    "ChoiCNN",
    "ChoiCRNN",
    "Classifier",
    "EmbeddingCNN",
    "EncoreCNN",
    "FlatCNN",
    "Linear",
]
