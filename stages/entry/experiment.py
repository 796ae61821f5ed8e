"""The check that stands before every experiment, however it is started."""

import sys
from collections.abc import Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from stages.core.errors import EncoreError
from stages.entry.foreign import check_outputs
from stages.entry.internals import internals
from stages.entry.overrides import Conf, check_words, experiments, parsed, plain_values


def guard_experiments(project: Path) -> None:
    """Let Hydra refuse a wrong experiment inside ``dvc exp run``: in one line, before anything has changed.

    Parameters
    ----------
    project : Path
        The project's root.
    """
    from dvc.exceptions import DvcException  # DVC prints it as one line

    loader = internals().Loader
    load = loader.load_configuration
    unchecked = _experiments_of_the_command()

    @wraps(load)
    def checked(self: Any, config_name: str, overrides: list[str], *more: Any, **named: Any) -> Any:
        def compose(words: Sequence[str]) -> Any:
            return load(self, config_name, [*words], *more, **named)

        conf = Conf(project / "conf", compose)
        try:
            _assert_is_root(project)
            for words in unchecked:  # before the first of them is queued
                check_words(words, conf)
            config = check_words(overrides, conf)
            check_outputs(project)
        except EncoreError as error:
            raise DvcException(str(error)) from None
        return config

    loader.load_configuration = checked


def _assert_is_root(project: Path) -> None:
    if not Path.cwd().samefile(project):  # DVC would write another params.yaml here, and not use it
        raise EncoreError(f"experiments run in the project's root; cd {project}, or use encore run here")


def _experiments_of_the_command() -> Iterator[list[str]]:
    """Yield the words of each experiment that ``dvc exp run`` is to queue, if they are several."""
    if sys.argv[1:3] == ["exp", "run"]:
        given = internals().by_file(internals().options(sys.argv[1:]).set_param)
        several = experiments(given.get("params.yaml", []))
        yield from several if len(several) > 1 else []


def run_experiments(words: Sequence[str], options: Sequence[str], project: Path) -> int:
    """Check the experiments that the words of one command make, then hand them over to ``dvc exp run``.

    Parameters
    ----------
    words : sequence of str
        Such as ``model=lstm``; with the option ``--queue`` also ``model=mlp,cnn``.
    options : sequence of str
        Of ``dvc exp run``.
    project : Path
        The project's root, and the current folder.

    Returns
    -------
    int
        DVC's exit status.

    Raises
    ------
    EncoreError
        If one of the experiments may not run; none of them is then run or queued.
    """
    own = internals().by_file(words).get("params.yaml", [])
    for word in own:
        if parsed(word).is_sweep_override() and "--queue" not in options:
            key, _, value = word.partition("=")
            raise EncoreError(
                f"{word}: several values are several experiments: add --queue, then `dvc queue start`; "
                f"one value with a comma is written '{key}=\"{value}\"'"
            )
    composed(own, project)
    check_outputs(project)
    settings = [part for word in words for part in ("-S", word)]
    return int(internals().run_dvc(["exp", "run", *options, *settings]))


def composed(words: Sequence[str], project: Path) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Check all experiments that words such as ``model=mlp,cnn`` make.

    Parameters
    ----------
    words : sequence of str
    project : Path
        The project's root, and the current folder.

    Returns
    -------
    list of (tuple of str, dict)
        The words of each experiment, and the sections of params.yaml that they make.

    Raises
    ------
    EncoreError
        If one of the experiments may not run.
    """
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(project / "conf"), version_base=None):
        conf = Conf(project / "conf", lambda one: compose("config", [*one]))
        return [(tuple(one), plain_values(check_words(one, conf))) for one in experiments(words)]
