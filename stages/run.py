"""Run an experiment, checked word by word first.

encore run model=lstm train.epochs=100          as `dvc exp run -S model=lstm -S train.epochs=100`
encore run --queue model=mlp,cnn train.seed=1   one experiment for each model, for `dvc queue start`

Options: --queue, --temp, --force, --name NAME, --message TEXT,
--copy-paths PATH, --quiet, --verbose; they are those of `dvc exp run`.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.core.errors import EncoreError, did_you_mean
from stages.core.workspace import root
from stages.entry.command import run_command

SETTING = ("-S", "--set-param")
WITH_VALUE = ("-n", "--name", "-m", "--message", "-C", "--copy-paths")
ALONE = ("--queue", "--temp", "-f", "--force", "-q", "--quiet", "-v", "--verbose")


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words ``KEY=VALUE``, and the options that DVC gets.

    Raises
    ------
    EncoreError
        If an option is unknown, or lacks its value.
    """
    words, options = [], []
    left = iter(arguments)
    for argument in left:
        if argument in (*SETTING, *WITH_VALUE):
            value = next(left, None)
            if value is None:
                raise EncoreError(f"{argument}: needs a value")
            if argument in SETTING:
                words.append(value)
            elif argument == "-m" and re.fullmatch(r"[\w.]+=\S+", value):
                raise EncoreError(
                    f"-m {value}: -m is the message of an experiment; for several values use "
                    f"`encore grid {value}`, or --queue"
                )
            else:
                options += [argument, value]
        elif argument in ALONE:
            options.append(argument)
        elif argument.startswith("-"):
            known = [option for option in (*ALONE, *WITH_VALUE) if option.startswith("--")]
            raise EncoreError(
                f"{argument}: not an option; options: {', '.join(known)}{did_you_mean(argument, known)}"
            )
        else:
            words.append(argument)
    return words, options


def main() -> None:
    """Check the experiments that the command line names, and hand them over to ``dvc exp run``."""
    project = root()
    if not (project / "conf/config.yaml").is_file():
        raise EncoreError(f"{Path.cwd()}: not in an Encore project")
    if not Path.cwd().samefile(project):
        os.chdir(project)
        os.execv(sys.executable, [sys.executable, "-m", "stages.run", *sys.argv[1:]])  # noqa: S606
    words, options = split(sys.argv[1:])
    from stages.entry.experiment import run_experiments

    sys.exit(run_experiments(words, options, project))


if __name__ == "__main__":
    run_command(main, takes_words=True)
