"""Import closures: which files of the project a module imports, directly or not, read from the source."""

import ast
from functools import cache
from pathlib import Path

PACKAGES = ("stages", "models")
# Packages that change no result: how a command starts and ends, and logging to MLflow.
NEUTRAL = ("stages.entry", "stages.tracking")


def import_closure(module: str, root: Path = Path()) -> list[Path]:
    """Find the file of `module` and of everything in the project that it imports, anywhere in its code.

    `NEUTRAL` packages are left out, and so is an ``__init__.py`` that has only a docstring.

    Parameters
    ----------
    module : str
        Dotted name, such as ``stages.train``.
    root : Path
        The project's root.

    Returns
    -------
    list of Path
        Sorted, relative to `root`; with the ``__init__.py`` of each package.
    """
    found: set[Path] = set()
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = None if name in seen or _is_neutral(name) else _file_of(name, root)
        seen.add(name)
        if path is None or path in found:
            continue
        imported, has_code = _read(root / path, (root / path).stat().st_mtime_ns)
        if has_code:
            found.add(path)
        waiting += [name.rpartition(".")[0], *imported]
    return sorted(found)


@cache
def _read(path: Path, changed_ns: int) -> tuple[list[str], bool]:
    """Return the dotted names that a file imports, and whether it has code; `changed_ns` makes edits seen."""
    tree = ast.parse(path.read_text("utf-8"))
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    is_docstring = ast.get_docstring(tree) is not None
    return imported, path.name != "__init__.py" or len(tree.body) > is_docstring


def _is_neutral(module: str) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in NEUTRAL)


def _file_of(module: str, root: Path) -> Path | None:
    if module.partition(".")[0] not in PACKAGES:
        return None
    path = Path(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if (root / candidate).is_file()), None)
