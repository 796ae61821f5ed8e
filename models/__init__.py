"""PyTorch classifiers: ``forward(x)`` takes (batch, n_bins, n_frames) and returns logits (batch, n_classes).

A model is named by `_target_` in conf/model/; its constructor takes ``input_shape`` and ``n_classes``,
which come from the features file, and the keys of its conf file.
"""

from models.classifier import Classifier
from models.cnn import CNN
from models.lstm import LSTM
from models.mlp import MLP

__all__ = ["CNN", "LSTM", "MLP", "Classifier"]
