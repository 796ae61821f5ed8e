"""What becomes of some training segments: variants of the music, and augmentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import Assignment
from stages.splitting import examples
from stages.splitting.inputs import names_of
from stages.storage.feature_file import Axis, Features

if TYPE_CHECKING:
    from stages.training.scaler import Scaler
    from stages.training.trained import TrainedModel

N_SEGMENTS = 3
HEARD = "mel"  # the feature in which a person sees a shift of pitch or a change of tempo


@dataclass(frozen=True)
class Preview:
    """Segments before and after each of some changes.

    Attributes
    ----------
    title : str
        What is shown, on which feature.
    before : ndarray of float32 or uint8 (n_segments, n_bins, n_frames)
    after : dict of str to ndarray
        Of the same shape, by name of the variant or the augmentation.
    labels : list of str (n_segments,)
    bins : Axis
    time_s : ndarray of float64 (n_frames,)
        Centres of the frames.
    unit : str
        Of the values.
    """

    title: str
    before: NDArray[Any]
    after: dict[str, NDArray[Any]]
    labels: list[str]
    bins: Axis
    time_s: NDArray[np.float64]
    unit: str


def previews(trained: "TrainedModel", features: Features, split: Sequence[Assignment]) -> dict[str, Preview]:
    """Show variants and augmentations of a model's training, one at a time, on segments of various classes.

    Parameters
    ----------
    trained : TrainedModel
    features : Features
        Open features file.
    split : sequence of Assignment
        From `examples.read_split`.

    Returns
    -------
    dict of str to Preview
        "variants", on mel if the file has it, and "augmentations", on what the network takes; only what the
        model was trained with.
    """
    recipe = trained.description.recipe
    shown = {}
    if recipe.train.variants and features.variants:
        shown["variants"] = _variants(trained, features, split)
    if recipe.augment.active:
        shown["augmentations"] = _augmentations(trained, features, split)
    return shown


def _variants(trained: "TrainedModel", features: Features, split: Sequence[Assignment]) -> Preview:
    wanted = HEARD if HEARD in features.names else trained.description.input.feature
    train = examples.load(features, wanted, split, "train", features.variants)
    n_originals = len(train) // (1 + len(features.variants))
    chosen = _chosen(train.label[:n_originals])
    before, *after = (
        train.read(chosen + number * n_originals) for number in range(1 + len(features.variants))
    )
    return Preview(
        f"Training segments and their variants ({_named(wanted)})",
        before,
        dict(zip(features.variants, after, strict=True)),
        [trained.description.labels[i] for i in train.label[chosen]],
        *_axes(features, wanted),
        _unit(features, wanted),
    )


def _augmentations(trained: "TrainedModel", features: Features, split: Sequence[Assignment]) -> Preview:
    import torch

    from stages.training.augmentation import Augmentation

    description = trained.description
    wanted, scaler, augment = description.input.feature, description.scaler, description.recipe.augment
    train = examples.load(features, wanted, split, "train")
    chosen = _chosen(train.label)
    x = scaler.standardise(train.read(chosen))
    target = torch.zeros(len(x), len(description.labels))
    std = torch.tensor(scaler.std or [1.0])
    after = {}
    for name in augment.active:
        torch.manual_seed(1)  # with 0 the shift of the first segment is none
        after[name] = Augmentation(augment.only(name), std)(x, target)[0].numpy()
    return Preview(
        f"Training segments and each augmentation of them ({_named(wanted)}, as the network takes it)",
        x.numpy(),
        after,
        [description.labels[i] for i in train.label[chosen]],
        *_axes(features, wanted),
        _scaled_unit(scaler, _unit(features, wanted)),
    )


def _chosen(label: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return some segments of various classes, in ascending order."""
    by_class = np.argsort(label, kind="stable")
    return np.sort(by_class[np.linspace(0, len(by_class) - 1, N_SEGMENTS).round().astype(int)])


def _named(wanted: str | list[str]) -> str:
    return wanted if isinstance(wanted, str) else f"statistics of {', '.join(wanted)}"


def _axes(features: Features, wanted: str | list[str]) -> tuple[Axis, NDArray[np.float64]]:
    if isinstance(wanted, str):
        bins, time = features.axes(wanted)
        return bins, time.values
    n_statistics, _ = examples.shape(features, wanted)
    return Axis("statistic", np.arange(n_statistics)), np.zeros(1)


def _unit(features: Features, wanted: str | list[str]) -> str:
    units = {features.unit(name) for name in names_of(wanted)} - {"1"}
    return units.pop() if len(units) == 1 else "value"


def _scaled_unit(scaler: "Scaler", unit: str) -> str:
    return {
        "bins": "standard deviations from the mean of train",
        "example": "standard deviations from the segment's mean",
        "none": unit,
    }[scaler.name]
