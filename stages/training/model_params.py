"""The `model` section of params.yaml, checked against the constructor of the class that it names.

The constructor is read from the source, since importing `models` would import torch, which takes longer
than the check of all other sections.
"""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from stages.core.errors import EncoreError
from stages.core.params import Params, check
from stages.splitting.inputs import NAMES

ROOT = Path(__file__).parents[2]
GIVEN_BY_DATA = ("self", "input_shape", "n_classes")
SHARE = Annotated[float, Field(ge=0, le=1)]
SIZE = Annotated[int, Field(gt=0)]
ALLOWED: dict[str, Any] = {  # by annotation: sizes are positive, strengths are not negative
    "bool": bool,
    "int": SIZE,
    "float": Annotated[float, Field(ge=0)],
    "list[int]": Annotated[list[SIZE], Field(min_length=1)],
    "list[list[int]]": Annotated[list[list[SIZE]], Field(min_length=1)],
}
OF_STATISTICS, OF_EITHER = ("Linear",), ("MLP",)  # models that take them; the others take frames
MAY_BE_EMPTY = ("hidden", "pool_after")


@dataclass(frozen=True)
class ModelParams:
    """The `model` section.

    Attributes
    ----------
    name : str
        Class in the `models` package.
    feature : str or list of str
        Its input: a feature, or statistics of several; `stages.splitting.inputs`.
    kwargs : dict
        Arguments of the constructor; the others follow from the data.
    """

    name: str
    feature: str | list[str]
    kwargs: dict[str, Any]


def check_model(values: Any) -> ModelParams:
    """Check the `model` section against the constructor of the class that it names.

    Raises
    ------
    EncoreError
        If there is no such class, or a key is unknown, missing or not allowed.
    """
    modules = model_modules()
    targets = [f"models.{name}" for name in modules]
    target = values.get("_target_") if isinstance(values, dict) else None
    if target not in targets:
        raise EncoreError(f"params.yaml: model._target_ is {target!r}, should be one of {', '.join(targets)}")
    name = str(target).removeprefix("models.")
    fields: dict[str, Any] = {
        key: (_allowed(key, annotation), ...)
        for key, annotation in constructor(modules[name], name).items()
        if key not in GIVEN_BY_DATA
    }
    fields |= {"target": (str, Field(alias="_target_")), "feature": (NAMES, ...)}
    checked = check(values, create_model("ModelSection", __base__=Params, **fields), "model").model_dump()
    del checked["target"]
    _check_input(name, checked["feature"])
    return ModelParams(name, checked.pop("feature"), checked)


def _check_input(name: str, feature: str | list[str]) -> None:
    """Refuse statistics for a model of frames, and the other way round."""
    if isinstance(feature, list) and name not in (*OF_EITHER, *OF_STATISTICS):
        raise EncoreError(
            f"params.yaml: model.feature is {feature!r}, a list, of which models take statistics; {name} "
            "takes the frames of one feature. Choose model=mlp or model=linear, or one feature without []"
        )
    if isinstance(feature, str) and name in OF_STATISTICS:
        raise EncoreError(
            f"params.yaml: model.feature is {feature!r}, should be a list, such as [{feature}]: {name} takes "
            "statistics over time"
        )


def model_modules() -> dict[str, Path]:
    """Return the source file of each model by the name of its class, in the order of ``models.__all__``."""
    body = ast.parse((ROOT / "models" / "__init__.py").read_text("utf-8")).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.module]
    modules = {alias.name: str(node.module) for node in imports for alias in node.names}
    exported = next(
        ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return {
        name: ROOT.joinpath(*modules[name].split(".")).with_suffix(".py")
        for name in exported
        if name != "Classifier"
    }


def constructor(path: Path, name: str) -> dict[str, ast.expr]:
    """Return the annotation of each parameter of the constructor of class `name` in `path`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == name:
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    parameters = [*method.args.args, *method.args.kwonlyargs]
                    return {one.arg: one.annotation or ast.Constant(None) for one in parameters}
    raise TypeError(f"{path}: class {name} defines no __init__, against which conf/model/ is checked")


def _allowed(name: str, annotation: ast.expr) -> Any:
    """Return the type that pydantic checks the value of a parameter against."""
    text = ast.unparse(annotation)
    if name == "dropout":
        return SHARE
    if name in MAY_BE_EMPTY and text == "list[int]":
        return list[SIZE]
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        literal: Any = Literal
        return literal[ast.literal_eval(annotation.slice)]
    if text not in ALLOWED:
        raise TypeError(f"models: {name}: {text}: should be Literal[...] or one of {', '.join(ALLOWED)}")
    return ALLOWED[text]
