"""What augmentation does to some training segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import Assignment
from stages.splitting import examples
from stages.storage.feature_file import Features

if TYPE_CHECKING:
    from stages.training.trained import TrainedModel


@dataclass(frozen=True)
class Preview:
    """Segments before and after each augmentation, as the network takes them.

    Attributes
    ----------
    before : ndarray of float32 or uint8 (n_segments, n_bins, n_frames)
    after : dict of str to ndarray
        Of the same shape, by name of the variant or the augmentation.
    labels : list of str (n_segments,)
    """

    before: NDArray[np.float32]
    after: dict[str, NDArray[np.float32]]
    labels: list[str]


def preview(
    trained: "TrainedModel", features: Features, split: Sequence[Assignment], n_segments: int = 3
) -> Preview | None:
    """Apply the augmentations of a model's training, one at a time, to segments of various classes.

    Parameters
    ----------
    trained : TrainedModel
    features : Features
        Open features file.
    split : sequence of Assignment
        From `examples.read_split`.
    n_segments : int

    Returns
    -------
    Preview or None
        None: the model was trained without augmentation and without variants.
    """
    import torch

    from stages.training.augmentation import Augmentation

    description = trained.description
    augment = description.recipe.augment
    variants = features.variants if description.recipe.train.variants else []
    if not (augment.active or variants):
        return None
    train = examples.load(features, description.input.feature, split, "train", variants)
    n_originals = len(train) // (1 + len(variants))
    by_class = np.argsort(train.label[:n_originals], kind="stable")
    chosen = np.sort(by_class[np.linspace(0, len(by_class) - 1, n_segments).round().astype(int)])
    x = description.scaler.standardise(train.read(chosen))
    after = {
        name: description.scaler.standardise(train.read(chosen + number * n_originals)).numpy()
        for number, name in enumerate(variants, start=1)
    }
    target = torch.zeros(len(x), len(description.labels))
    std = torch.tensor(description.scaler.std or [1.0])
    for name in augment.active:
        torch.manual_seed(0)
        after[name] = Augmentation(augment.only(name), std)(x, target)[0].numpy()
    return Preview(x.numpy(), after, [description.labels[i] for i in train.label[chosen]])
