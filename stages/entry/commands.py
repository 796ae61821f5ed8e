"""The command `encore`: its list of commands, and how one of them is run."""

import ast
import os
import runpy
import shutil
import sys
import textwrap
from io import TextIOWrapper
from pathlib import Path

from stages.core.errors import did_you_mean
from stages.entry import caller
from stages.entry.command import to_a_reader

PROJECT = Path(__file__).parents[2]
COMMANDS = (
    "run",
    "predict",
    "similar",
    "serve",
    "verdicts",
    "compare",
    "runs",
    "grid",
    "search",
    "register",
    "export",
    "ui",
    "changes",
    "validate",
    "verify",
)
WIDEST = 110  # characters of a line
EXIT_CODES = (
    "Exit codes: 0 done; 1 an error, in one line; 2 wrong usage; 3 some files could not be used; 130 Ctrl-C."
)


def main() -> None:
    """Run the command that the command line names, in the project that this code belongs to."""
    if isinstance(sys.stdout, TextIOWrapper):  # names of files may have what the terminal's encoding has not
        sys.stdout.reconfigure(errors="backslashreplace")
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help", "help"):
        with to_a_reader():
            print(_help())
    elif name == "--version":
        print(_version())
    elif name not in COMMANDS:
        print(
            f"error: {name}: no command of encore{did_you_mean(name, COMMANDS)}; `encore --help` lists them",
            file=sys.stderr,
        )
        sys.exit(2)
    else:
        programs = str(Path(sys.executable).parent)  # dvc's, say, also where no environment is active
        os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])
        caller.enter(PROJECT)
        sys.argv[1:] = words
        try:
            runpy.run_module(f"stages.{name}", run_name="__main__", alter_sys=True)
        except KeyboardInterrupt:  # before the command itself looks for it
            sys.exit(130)


def _help() -> str:
    width = min(shutil.get_terminal_size().columns, WIDEST)
    lines = [
        textwrap.fill(f"  {name:<10}{_summary(name)}", width, subsequent_indent=" " * 12) for name in COMMANDS
    ]
    return "\n".join(
        [
            "usage: encore COMMAND …",
            "       encore COMMAND --help    explains one",
            "       encore --version         says what this is",
            "",
            *lines,
            "",
            f"It works in any folder, with the project in {PROJECT}.",
            textwrap.fill(EXIT_CODES, width),
        ]
    )


def _summary(name: str) -> str:
    """Return the first sentence of a command's docstring, without importing the command."""
    source = (PROJECT / "stages" / f"{name}.py").read_text("utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    return docstring.partition("\n")[0].partition(", such as `")[0].partition(": `")[0].rstrip(".")


def _version() -> str:
    import subprocess
    import tomllib

    number = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    asked = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty"]
    commit = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    python = ".".join(map(str, sys.version_info[:3]))
    return f"encore {number}, {f'commit {commit}, ' if commit else ''}Python {python}, {PROJECT}"
