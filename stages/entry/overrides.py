"""What a user asks of an experiment, word by word: each slip becomes one line with what would be right."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from stages.core.errors import EncoreError, did_you_mean, nearest
from stages.core.params import flat
from stages.entry.internals import internals
from stages.entry.paths import check_paths
from stages.entry.registry import SECTIONS, check_all

COMBINED = ("augment",)  # groups of which an experiment may have several choices
ADDED = ("experiment",)  # groups of which it has none unless one is added


@dataclass(frozen=True)
class Conf:
    """The folder ``conf/`` of a project.

    Attributes
    ----------
    folder : Path
    compose : callable
        Takes words such as ``model=lstm``, and returns what Hydra composes; raises as Hydra does.
    """

    folder: Path
    compose: Callable[[Sequence[str]], Any]

    def choices(self, group: str) -> list[str]:
        """Return the choices of a group, such as lstm or bare/lstm; none if there is no such group."""
        folder = self.folder / group
        found = [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")]
        return sorted(found, key=lambda choice: (choice.count("/"), choice))

    def choices_with(self, key: str) -> list[str]:
        """Return the choices, such as split=kfold, that have a key such as split.fold."""
        group, _, name = key.partition(".")
        files = {
            choice: OmegaConf.load(self.folder / group / f"{choice}.yaml") for choice in self.choices(group)
        }
        keys = {choice: flat(OmegaConf.to_container(file, resolve=False)) for choice, file in files.items()}
        return [
            f"{group}={choice}"
            for choice, of_choice in keys.items()
            if {name, key} & {*of_choice, *keys.get(f"bare/{choice}", ())}
        ]

    def keys(self, *words: str) -> list[str]:
        """Return all keys in full, such as train.epochs."""
        return list(flat(plain_values(self.compose(words))))


def check_words(words: Sequence[str], conf: Conf) -> Any:
    """Check the words of an experiment, and the whole configuration that they make.

    Parameters
    ----------
    words : sequence of str
        Such as ``model=lstm`` and ``train.epochs=100``; each has one value.
    conf : Conf

    Returns
    -------
    DictConfig
        What Hydra composes.

    Raises
    ------
    EncoreError
        One line that names the first slip, what is most like it, and what is allowed.
    """
    asked = [parsed(word) for word in words]
    groups = [one for one in asked if conf.choices(one.key_or_group)]
    for number, one in enumerate(groups):
        if one.key_or_group in [other.key_or_group for other in groups[:number]]:
            raise EncoreError(f"{one.input_line}: {one.key_or_group} is chosen twice; give one of the two")
        _check_choice(one, conf)
    try:
        config = conf.compose(words)
        values = plain_values(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explained(asked, conf, error) from None
    for one in asked:  # + and ++ add whatever they name
        if one.key_or_group.partition(".")[0] not in (*SECTIONS, *ADDED):
            known = {section: values[section] for section in SECTIONS}
            raise _unknown_key(one.input_line, one.key_or_group, conf, list(flat(known)))
    try:
        check_all(values)
        check_paths(values, conf.folder.parent)
    except EncoreError as error:  # nothing has been written to params.yaml yet
        line = str(error).removeprefix("params.yaml: ").partition("; `make params` rewrites")[0]
        raise EncoreError(line) from None
    return config


def experiments(words: Sequence[str]) -> list[list[str]]:
    """Return the words of each experiment that words such as ``model=mlp,cnn`` stand for.

    Raises
    ------
    EncoreError
        If a word has no list of values, as with ``glob`` and ``interval``.
    """
    from dvc.exceptions import DvcException

    if not any(parsed(word).is_sweep_override() for word in words):
        return [[*words]]
    try:
        return [one["params.yaml"] for one in internals().experiments({"params.yaml": [*words]})]
    except (DvcException, HydraException):
        line = f"{' '.join(words)}: glob and interval name no values; list them, as 1,2,3 or range(1,4)"
        raise EncoreError(line) from None


def parsed(word: str) -> Any:
    """Return a word ``KEY=VALUE`` as Hydra understands it.

    Raises
    ------
    EncoreError
        If it is none, or Hydra cannot read it; the line shows how to quote the value.
    """
    key, equals, value = word.partition("=")
    if word.startswith("~") and re.fullmatch(r"~[\w.]+", key):
        raise EncoreError(f"{word}: nothing can be taken away; give another value, as {key[1:]}=VALUE")
    if not equals or not re.fullmatch(r"\+{0,2}[\w./@:-]+", key):
        raise EncoreError(f"{word}: should be KEY=VALUE, such as model=lstm or train.epochs=100")
    try:
        return internals().parser.parse_override(word)
    except HydraException:
        raise EncoreError(_how_to_write(word, key, value)) from None


def _how_to_write(word: str, key: str, value: str) -> str:
    """Say what Hydra could not read in a word, and how the value has to be written."""
    if value.startswith("~"):
        return f"{word}: ~ means nothing here; write {key}={Path(value).expanduser()}"
    if value.startswith(("[", "{")):
        brackets = "[a, b]" if value[0] == "[" else "{key: value}"
        return f"{word}: the brackets do not fit; write '{key}={brackets}', with quotes against the shell"
    if value.count('"') % 2 or value.count("'") % 2:
        return f"{word}: a quote is not closed; write '{key}=\"{value.replace(chr(34), '')}\"'"
    signs = " ".join(sorted(set(re.findall(r"[^\w\s/.+*%@?|:$-]", value))))
    return f"{word}: {signs} in a value needs quotes; write '{key}=\"{value}\"'"


def _check_choice(asked: Any, conf: Conf) -> None:
    """Check a word that chooses from a group, such as ``model=lstm``."""
    word, group = asked.input_line, asked.key_or_group
    choices = conf.choices(group)
    has_plus = asked.is_add() or asked.is_force_add()
    if group in ADDED and not asked.is_add():
        raise EncoreError(f"{word}: a preset is added to the others; write +{word.lstrip('+')}")
    if has_plus and group not in ADDED:
        raise EncoreError(f"{word}: {group} has a choice already; write {word.lstrip('+')}")
    value = asked.value()
    if isinstance(value, list) and group not in COMBINED:
        raise EncoreError(
            f"{word}: takes one of {', '.join(choices)}; for several experiments --queue and {group}=one,two"
        )
    for choice in value if isinstance(value, list) else [value]:
        if choice not in choices:
            similar = did_you_mean(str(choice), choices)
            keys = f"; keys are given as {group}.KEY=VALUE" if choices == ["default"] else ""
            raise EncoreError(f"{word}: {group} is one of {', '.join(choices)}{similar}{keys}")


def _explained(asked: Sequence[Any], conf: Conf, error: Exception) -> EncoreError:
    """Return the line for what Hydra refuses: the first key that is not there, else Hydra's first line."""
    groups = [one.input_line for one in asked if conf.choices(one.key_or_group)]
    try:
        keys = conf.keys(*groups)
    except (HydraException, OmegaConfBaseException):
        keys = []
    for one in asked:
        key = one.key_or_group
        if not keys or conf.choices(key):
            continue
        is_there = any(f"{name}.".startswith(f"{key}.") for name in keys)
        if is_there and one.is_add():
            return EncoreError(
                f"{one.input_line}: {key} is there already; write {one.input_line.lstrip('+')}"
            )
        if not is_there:
            return _unknown_key(one.input_line, key, conf, keys)
    own_words = str(error) or str(error.__cause__)
    return EncoreError(own_words.strip().partition("\n")[0])


def _unknown_key(word: str, key: str, conf: Conf, keys: list[str]) -> EncoreError:
    if owners := conf.choices_with(key):
        return EncoreError(f"{word}: {key} is a key of {' and '.join(owners)}; add {' or '.join(owners)}")
    above = next((name for name in _above(key) if any(one.startswith(f"{name}.") for one in keys)), "")
    beside = dict.fromkeys(name.removeprefix(f"{above}.").partition(".")[0] for name in _below(above, keys))
    place = f"{above} has" if above else "sections are"
    question = f"; did you mean {meant}?" if (meant := _meant(key, keys)) else ""
    return EncoreError(f"{word}: there is no key {key}; {place} {', '.join(beside)}{question}")


def _meant(key: str, keys: list[str]) -> str:
    """Return the same name in another section, else a similar key, else a similar name; or nothing."""
    by_name = {name.rpartition(".")[2]: name for name in reversed(keys)}
    last = key.rpartition(".")[2]
    similar = nearest(key, keys if "." in key else [*SECTIONS, *ADDED])
    return by_name.get(last) or similar or by_name.get(nearest(last, by_name), "")


def _above(key: str) -> Iterable[str]:
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def _below(section: str, keys: list[str]) -> list[str]:
    return [name for name in keys if name.startswith(f"{section}.")] if section else keys


def plain_values(config: Any) -> dict[str, Any]:
    """Return a composed configuration as plain values, without Hydra's own section."""
    unresolved = OmegaConf.to_container(config, resolve=False)
    assert isinstance(unresolved, dict)
    sections = OmegaConf.create({key: value for key, value in unresolved.items() if key != "hydra"})
    values: dict[str, Any] = OmegaConf.to_container(sections, resolve=True)  # type: ignore[assignment]
    return values
