"""What the commands of grids and searches take from the command line, and show."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from stages.core.errors import EncoreError, did_you_mean
from stages.core.workspace import root

Show = Callable[[int, str], None]
MOST_JOBS = 64


@dataclass
class Asked:
    """What a command line asks for.

    Attributes
    ----------
    words : list of str
        Such as ``model=mlp,cnn``.
    command : str
        Empty: to run them.
    name : str
        Of the grid; empty: none was given.
    options : dict of str to str
        Values of options as they were given, by name without dashes; of one without a value: yes.
    """

    words: list[str] = field(default_factory=list)
    command: str = ""
    name: str = ""
    options: dict[str, str] = field(default_factory=dict)

    @property
    def jobs(self) -> int:
        """How many cells run at a time."""
        return number("jobs", self.options.get("jobs", "1"), MOST_JOBS)


def asked(arguments: Sequence[str], commands: Sequence[str], options: Mapping[str, bool]) -> Asked:
    """Read a command line.

    Parameters
    ----------
    arguments : sequence of str
    commands : sequence of str
        Each but ``list`` is followed by the name of a grid.
    options : mapping of str to bool
        Whether an option takes a value.

    Raises
    ------
    EncoreError
        If an option is unknown or has no value, or there is neither a command nor a word.
    """
    found = Asked()
    left = iter(arguments)
    for argument in left:
        name = argument.removeprefix("--")
        if argument.startswith("-"):
            if name not in options:
                known = [f"--{option}" for option in options]
                raise EncoreError(
                    f"{argument}: not an option; options: {', '.join(known)}{did_you_mean(argument, known)}"
                )
            found.options[name] = _value(argument, next(left, "")) if options[name] else "yes"
        elif "=" in argument:
            found.words.append(argument)
        elif argument in commands and not found.command:
            found.command = argument
            found.name = "" if argument == "list" else _value(argument, next(left, ""))
        else:
            raise EncoreError(
                f"{argument}: should be KEY=VALUE, or one of {', '.join(commands)}"
                f"{did_you_mean(argument, commands)}"
            )
    if bool(found.command) == bool(found.words):
        raise EncoreError(f"give words such as model=mlp,cnn train.seed=0,1, or one of {', '.join(commands)}")
    found.name = found.name or found.options.get("name", "")
    if not re.fullmatch(r"([A-Za-z0-9][\w.-]*)?", found.name):
        raise EncoreError(f"{found.name}: a name has letters, digits, dots, _ and -")
    return found


def enter_project() -> Path:
    """Make the project's root the current folder, and return it.

    Raises
    ------
    EncoreError
        If the current folder is in no project.
    """
    project = root()
    if not (project / "conf/config.yaml").is_file():
        raise EncoreError(f"{Path.cwd()}: not in an Encore project")
    os.chdir(project)
    return project


def _value(argument: str, value: str) -> str:
    if not value or value.startswith("-"):
        raise EncoreError(f"{argument}: needs a value")
    return value


def number(option: str, value: str, most: int) -> int:
    """Return an option's value as a number from 1 to `most`.

    Raises
    ------
    EncoreError
        If it is none.
    """
    if not value.isdecimal() or not 1 <= int(value) <= most:
        raise EncoreError(f"--{option} {value}: should be a number from 1 to {most}")
    return int(value)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a polite end of this process, or of its terminal, do what Ctrl-C does."""

    def interrupt(signal_number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        one: signal.signal(one, interrupt)
        for one in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(one) != signal.SIG_IGN  # as nohup wants it
    }
    try:
        yield
    except KeyboardInterrupt:
        print("\ninterrupted: all processes are ended; the same command goes on", file=sys.stderr)
        raise
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def shown(doing: str, total: int, unit: str) -> Iterator[Show]:
    """Show a progress bar with an estimate; yield what takes the number of those done, and what runs."""
    from tqdm import tqdm

    with tqdm(desc=doing, total=total, unit=unit, disable=None, smoothing=0.0, dynamic_ncols=True) as bar:
        is_first = True

        def show(n_done: int, running: str) -> None:
            nonlocal is_first
            if bar.disable and n_done > bar.n:  # in a file, a line for each
                print(f"{doing}: {n_done} of {total}{'; ' * bool(running)}{running}", flush=True)
            if is_first:  # those of an earlier start say nothing of the speed
                bar.initial, is_first = n_done, False
            bar.n = n_done
            bar.set_postfix_str(running)

        yield show


def duration(seconds: float) -> str:
    """Return a duration in words, such as ``1 h 05 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
