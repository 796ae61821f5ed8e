"""The `split` section of params.yaml: one model for each way to split."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from stages.core.params import ClassName, Params, check_named


class SchemeParams(Params):
    """What every way to split has.

    Attributes
    ----------
    unknown_classes : list of str
        Classes that are not trained on; evaluate tests whether the model finds their tracks new.
    watch : str
        A file that DVC watches; only ``split=file`` needs it.
    """

    renamed: ClassVar[dict[str, str]] = {"scheme": "name"}

    unknown_classes: list[ClassName]
    watch: str


class HoldoutParams(SchemeParams):
    """``split=stratified`` and ``split=grouped``.

    Attributes
    ----------
    valid, test : float
        Shares of the tracks; the rest is train.
    seed : int
    """

    name: Literal["stratified", "grouped"]
    valid: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _leave_something_to_train(self) -> "HoldoutParams":
        if self.valid + self.test >= 1:
            raise ValueError(f"valid is {self.valid}, should be under 1 together with test, {self.test}")
        return self


class KFoldParams(SchemeParams):
    """``split=kfold``.

    Attributes
    ----------
    k, fold, seed : int
        `fold` from 0 to ``k - 1`` is the test part.
    """

    name: Literal["kfold"]
    k: int = Field(ge=3)
    fold: int = Field(ge=0)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _fold_exists(self) -> "KFoldParams":
        if self.fold >= self.k:
            raise ValueError(f"fold is {self.fold}, should be from 0 to {self.k - 1}, since k is {self.k}")
        return self


class FileParams(SchemeParams):
    """``split=file``.

    Attributes
    ----------
    path : str
        CSV with the columns track_id and split.
    """

    name: Literal["file"]
    path: str


class PublishedParams(SchemeParams):
    """``split=published``: what the dataset's authors publish."""

    name: Literal["published"]


SplitParams = HoldoutParams | KFoldParams | FileParams | PublishedParams
SCHEMES: dict[str, type[SplitParams]] = {
    "grouped": HoldoutParams,
    "stratified": HoldoutParams,
    "kfold": KFoldParams,
    "file": FileParams,
    "published": PublishedParams,
}


def check_split(values: Any) -> SplitParams:
    """Check the `split` section against the parameters of the scheme that it names.

    Raises
    ------
    EncoreError
        If there is no such scheme, or one of its parameters is wrong.
    """
    return check_named(values, SCHEMES, "split")
