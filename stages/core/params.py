"""Reads params.yaml and checks it; the only module that reads YAML."""

from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic
from ruamel.yaml import YAML

from stages.core.errors import EncoreError


class Params(pydantic.BaseModel):
    """Base of every parameter model: frozen, strictly typed, no unknown keys."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


P = TypeVar("P", bound=pydantic.BaseModel)


def read(section: str, path: Path = Path("params.yaml")) -> Any:
    """One top-level section of params.yaml as plain Python values.

    Raises
    ------
    EncoreError
        If the file or the section is missing, or the file is no YAML.
    """
    try:
        document = _parsed(path.read_bytes())
    except FileNotFoundError:
        raise EncoreError(f"{path}: not found; run from the project's root, or `make params`") from None
    except Exception as error:  # ruamel raises many unrelated classes
        reason = " ".join(str(error).split())
        raise EncoreError(f"{path}: not readable as YAML: {reason}; `make params` rewrites it") from None
    if not isinstance(document, dict) or section not in document:
        raise EncoreError(f"{path}: no section {section!r}; `make params` rewrites the file from conf/")
    return deepcopy(document[section])


@lru_cache(maxsize=1)
def _parsed(content: bytes) -> Any:
    """A document; a stage reads several sections, and parsing takes longer than some stages."""
    return YAML(typ="safe", pure=True).load(content)


def check(values: Any, model: type[P], section: str) -> P:
    """`values` as an instance of `model`.

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
        first = invalid.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join([section, *location])
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(_keys_beside(model, location))
        raise EncoreError(f"params.yaml: {key}: unknown key; allowed here: {allowed}")
    if first["type"] == "missing":
        raise EncoreError(f"params.yaml: {key}: missing; `make params` rewrites the file from conf/")
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    if not location:  # a check of several keys together, which says itself which and what
        raise EncoreError(f"params.yaml: {key}.{message}")
    raise EncoreError(f"params.yaml: {key} is {first['input']!r}, {message}")


def check_named(values: Any, choices: Mapping[str, type[P]], section: str, key: str = "name") -> P:
    """Check a section against the parameters of what its `key` chooses.

    Raises
    ------
    EncoreError
        If there is no such choice, or one of its parameters is wrong.
    """
    name = values.get(key) if isinstance(values, dict) else None
    if not isinstance(name, str) or name not in choices:
        raise EncoreError(f"params.yaml: {section}.{key} is {name!r}, should be one of {', '.join(choices)}")
    return check(values, choices[name], section)


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, whose keys are joined by dots."""
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


def _keys_beside(model: type[pydantic.BaseModel], location: list[str]) -> list[str]:
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation
        inner = [
            one
            for one in (annotation, *get_args(annotation))  # a section may be null as well
            if isinstance(one, type) and issubclass(one, pydantic.BaseModel)
        ]
        if not inner:
            break
        model = inner[0]
    return [field.alias or name for name, field in model.model_fields.items()]
