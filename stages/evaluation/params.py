"""Parameters of the baseline, of the evaluation, and of what becomes of its run."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from stages.core.params import Params
from stages.splitting.inputs import LIST


class BaselineParams(Params):
    """The `baseline` section.

    Attributes
    ----------
    features : list of str
        Which features of features.h5.
    C : float
        Inverse strength of the L2 penalty, as in scikit-learn.
    class_weights : {'none', 'balanced'}
        As in the `loss` section: by the numbers of training segments.
    """

    renamed: ClassVar[dict[str, str]] = {
        "feature": "features",
        "bootstrap_samples": "evaluate.bootstrap_samples",
        "seed": "evaluate.seed",
    }

    features: LIST
    C: float = Field(gt=0)
    class_weights: Literal["none", "balanced"]


class EvaluateParams(Params):
    """The `evaluate` section.

    Attributes
    ----------
    bootstrap_samples : int
        Resamples of the artists or recordings behind each interval that is a bootstrap.
    seed : int
        Seed of the bootstrap.
    known_accepted : float
        Share of validation tracks that must not count as new music.
    """

    bootstrap_samples: int = Field(ge=100, le=20_000)
    seed: int = Field(ge=0)
    known_accepted: float = Field(gt=0, lt=1)


def model_name(name: str) -> str:
    """Return the name of a registered model, if MLflow takes it, and its address ``models:/NAME/1`` too.

    Raises
    ------
    ValueError
        What is allowed.
    """
    if not re.fullmatch(r"\w[\w .-]*", name):
        raise ValueError("should be a name of letters, digits, spaces, '.', '_' and '-', such as genres")
    return name


class TrackingParams(Params):
    """The `tracking` section.

    Attributes
    ----------
    registered_as : str or None
        The key `register`, which Python's abstract classes have already: name of the registered model in
        MLflow of which the run becomes a new version; None: of none.
    """

    registered_as: Annotated[str, AfterValidator(model_name)] | None = Field(alias="register")
