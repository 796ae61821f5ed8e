"""The `model` section of params.yaml, checked against the class that it names."""

import inspect
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from stages.core.errors import EncoreError
from stages.core.params import Params, check

if TYPE_CHECKING:
    import models

# What a constructor's annotations allow: sizes are positive, strengths are not negative.
SHARE = Annotated[float, Field(ge=0, le=1)]
SIZE = Annotated[int, Field(gt=0)]
ALLOWED = {
    int: SIZE,
    float: Annotated[float, Field(ge=0)],
    list[int]: Annotated[list[SIZE], Field(min_length=1)],
    list[list[int]]: Annotated[list[list[SIZE]], Field(min_length=1)],
}
MAY_BE_EMPTY = ("hidden", "pool_after")


def check_model(values: Any) -> tuple["type[models.Classifier]", str, dict[str, Any]]:
    """Check the `model` section against the constructor of the class that it names.

    Returns
    -------
    model : type
    feature : str
    kwargs : dict
        What the conf file gives the constructor.

    Raises
    ------
    EncoreError
        If there is no such class, or a key is unknown, missing or impossible.
    """
    import models

    names = [f"models.{name}" for name in models.__all__ if name != "Classifier"]
    target = values.get("_target_") if isinstance(values, dict) else None
    if target not in names:
        raise EncoreError(f"params.yaml: model._target_ is {target!r}, should be one of {', '.join(names)}")
    model: type[models.Classifier] = getattr(models, target.removeprefix("models."))
    given_by_data = ("input_shape", "n_classes")
    fields: dict[str, Any] = {
        name: (_allowed(name, parameter.annotation), ...)
        for name, parameter in inspect.signature(model).parameters.items()
        if name not in given_by_data
    }
    fields |= {"target": (str, Field(alias="_target_")), "feature": (str, ...)}
    checked = check(values, create_model("ModelParams", __base__=Params, **fields), "model").model_dump()
    del checked["target"]
    return model, checked.pop("feature"), checked


def _allowed(name: str, annotation: Any) -> Any:
    if name == "dropout":
        return SHARE
    if name in MAY_BE_EMPTY and annotation == list[int]:
        return list[SIZE]
    return ALLOWED.get(annotation, annotation)  # bool and Literal allow what they say
