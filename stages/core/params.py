"""Reads params.yaml and checks it; the only module that reads YAML."""

import os
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # else it looks for some in all packages

import pydantic
from ruamel.yaml import YAML

from stages.core.errors import EncoreError, did_you_mean, in_one_line


class Params(pydantic.BaseModel):
    """Base of every parameter model: frozen, strictly typed, no unknown keys.

    Attributes
    ----------
    renamed : dict of str to str
        The new name of each key that used to have another one; with a dot: in full, of another section.
    """

    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)
    renamed: ClassVar[dict[str, str]] = {}


def _name_of(value: Any) -> Any:
    return str(value) if type(value) is int else value


def allows(what: str) -> pydantic.WrapValidator:
    """Say what a union allows, where pydantic would name one of its members."""

    def validate(value: Any, inner: pydantic.ValidatorFunctionWrapHandler) -> Any:
        try:
            return inner(value)
        except pydantic.ValidationError:
            raise ValueError(f"should be {what}") from None

    return pydantic.WrapValidator(validate)


V = TypeVar("V", str, float)


def once_each(values: list[V]) -> list[V]:
    """Refuse a list that has a value twice; for pydantic's AfterValidator."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"should have {value if isinstance(value, str) else f'{value:g}'} once")
    return values


# In [1990, rock] YAML takes the first name for a number.
ClassName = Annotated[str, pydantic.BeforeValidator(_name_of)]
P = TypeVar("P", bound=Params)


def read(section: str, path: Path = Path("params.yaml")) -> Any:
    """Return one top-level section of params.yaml as plain Python values.

    Raises
    ------
    EncoreError
        If the file or the section is missing, or the file is not valid YAML.
    """
    try:
        document = _parsed(path.read_bytes())
    except FileNotFoundError:
        raise EncoreError(f"{path}: not found; run from the project's root, or `make params`") from None
    except Exception as error:  # ruamel raises many unrelated classes
        reason = in_one_line(error)
        raise EncoreError(f"{path}: not readable as YAML: {reason}; `make params` rewrites it") from None
    if not isinstance(document, dict) or section not in document:
        raise EncoreError(f"{path}: no section {section!r}; `make params` rewrites the file from conf/")
    return deepcopy(document[section])


@lru_cache(maxsize=1)
def _parsed(content: bytes) -> Any:
    """Parse a document once, since a stage reads several sections and parsing is slow."""
    return YAML(typ="safe", pure=True).load(content)


def check(values: Any, model: type[P], section: str) -> P:
    """Return `values` as an instance of `model`.

    ``???``, Hydra's mark of a value that is not given, leaves a key with a default at its default.

    Raises
    ------
    EncoreError
        One line that names the first wrong key in full, its value, and what is allowed.
    """
    if isinstance(values, dict):
        missing = {key for key, value in values.items() if value == "???"}
        optional = {key for key, field in model.model_fields.items() if not field.is_required()}
        for key in sorted(missing - optional):
            raise EncoreError(f"params.yaml: {section}.{key}: not given; add -S {section}.{key}=VALUE")
        values = {key: value for key, value in values.items() if key not in missing}
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as invalid:
        errors = invalid.errors()
    unknown = [_location(error) for error in errors if error["type"] == "extra_forbidden"]
    for location in unknown:  # an old key also counts as missing under its new name: this line explains both
        if new := _model_at(model, location).renamed.get(location[-1]):
            raise _renamed([section, *location], new)
    raise EncoreError(f"params.yaml: {_reason(errors[0], model, section)}")


def check_named(values: Any, choices: Mapping[str, type[P]], section: str) -> P:
    """Check a section against the parameters of the choice that it names with its key `name`.

    Raises
    ------
    EncoreError
        If there is no such choice, or one of its parameters is wrong.
    """
    given = values if isinstance(values, dict) else {}
    if "name" not in given:
        for old, new in (item for model in choices.values() for item in model.renamed.items()):
            if old in given and new == "name":
                raise _renamed([section, old], new)
    name = given.get("name")
    if not isinstance(name, str) or name not in choices:
        similar = did_you_mean(str(name), choices)
        raise EncoreError(
            f"params.yaml: {section}.name is {name!r}, should be one of {', '.join(choices)}{similar}"
        )
    return check(values, choices[name], section)


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, whose keys are joined by dots."""
    if not isinstance(values, Mapping):
        return {prefix: values}
    return {
        name: leaf
        for key, value in values.items()
        for name, leaf in flat(value, f"{prefix}.{key}" if prefix else key).items()
    }


def load(section: str, model: type[P]) -> P:
    """Read and check one section: `check(read(section), model, section)`."""
    return check(read(section), model, section)


def _renamed(location: list[str], new: str) -> EncoreError:
    full = new if "." in new else ".".join([*location[:-1], new])
    return EncoreError(
        f"params.yaml: {'.'.join(location)} is now {full}; change it, or `make params` rewrites the file "
        "from conf/"
    )


def _location(error: Any) -> list[str]:
    return [str(part) for part in error["loc"]]


def _reason(error: Any, model: type[Params], section: str) -> str:
    """Say in one line which key is wrong and why."""
    location = _location(error)
    key = ".".join([section, *location])
    if error["type"] == "extra_forbidden":
        fields = _model_at(model, location).model_fields
        allowed = [field.alias or name for name, field in fields.items()]
        return f"{key}: unknown key; allowed here: {', '.join(allowed)}{did_you_mean(location[-1], allowed)}"
    if error["type"] == "missing":
        return f"{key}: missing; `make params` rewrites the file from conf/"
    if error["type"] == "model_type":
        return f"{key} is {error['input']!r}, should be a group of keys; `make params` rewrites the file"
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    if not location:  # a check of several keys together, whose message begins with the key and its value
        return f"{key}.{message}"
    if error["type"] == "literal_error":
        message += did_you_mean(str(error["input"]), re.findall(r"'([^']*)'", error["ctx"]["expected"]))
    return f"{key} is {error['input']!r}, {message}"


def _model_at(model: type[Params], location: list[str]) -> type[Params]:
    """Return the model that has, or lacks, the key at `location`."""
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation
        inner = [
            one
            for one in (annotation, *get_args(annotation))  # a section may be null as well
            if isinstance(one, type) and issubclass(one, Params)
        ]
        if not inner:
            break
        model = inner[0]
    return model
