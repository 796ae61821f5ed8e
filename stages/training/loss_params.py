"""The `loss` section of params.yaml: the parameters of each loss."""

from typing import Any, Literal

from pydantic import Field

from stages.core.params import Params, check_named


class CrossEntropy(Params):
    """``loss=cross_entropy`` and ``loss=binary_cross_entropy``: the model's outputs are logits.

    Attributes
    ----------
    name : {'cross_entropy', 'binary_cross_entropy'}
        Over softmax, or the mean over one sigmoid for each class.
    label_smoothing : float
        Share of each target that is spread evenly over all classes (Szegedy et al., 2016).
    class_weights : {'none', 'balanced'}
        Balanced: a segment counts ``n_segments / (n_classes * n_segments_of_its_class)``.
    """

    name: Literal["cross_entropy", "binary_cross_entropy"]
    label_smoothing: float = Field(ge=0, lt=1)
    class_weights: Literal["none", "balanced"]


class MetricLossParams(Params):
    """What losses of embeddings have in common; the class with the nearest prototype is predicted.

    Attributes
    ----------
    name : str
        Which loss.
    embedding_size : int
    """

    name: str
    embedding_size: int = Field(ge=2, le=4096)


class Triplet(MetricLossParams):
    """``loss=triplet`` (Schroff et al., 2015).

    Attributes
    ----------
    margin : float
        How much further away a segment of another class should be; embeddings have length 1.
    mining : {'all', 'semihard', 'hard'}
        Which triplets of a batch count: all that violate the margin; those of them whose positive is nearer
        than the negative; those whose negative is nearer than the positive.
    """

    name: Literal["triplet"]
    margin: float = Field(gt=0, le=2)
    mining: Literal["all", "semihard", "hard"]


class SupCon(MetricLossParams):
    """``loss=supcon``: supervised contrastive loss (Khosla et al., 2020).

    Attributes
    ----------
    temperature : float
        Cosine similarities are divided by it.
    """

    name: Literal["supcon"]
    temperature: float = Field(gt=0)


LossParams = CrossEntropy | Triplet | SupCon
LOSSES: dict[str, type[LossParams]] = {
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": CrossEntropy,
    "triplet": Triplet,
    "supcon": SupCon,
}


def check_loss(values: Any) -> LossParams:
    """Check the `loss` section against the parameters of the loss that it names.

    Raises
    ------
    EncoreError
        If there is no such loss, or one of its parameters is wrong.
    """
    return check_named(values, LOSSES, "loss")
