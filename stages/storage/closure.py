"""Which files of the project a module runs: its imports, and theirs, read from the source."""

import ast
from pathlib import Path

PACKAGES = ("stages", "models")


def import_closure(module: str, root: Path = Path()) -> list[Path]:
    """Files of `module` and of everything in the project that it imports, anywhere in its code.

    Parameters
    ----------
    module : str
        Dotted name, such as ``stages.train``.
    root : Path
        The project's root.

    Returns
    -------
    list of Path
        Sorted, relative to `root`; the ``__init__.py`` of each package on the way is among them.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(name, root)
        if path is None or path in found:
            continue
        found.add(path)
        waiting.append(name.rpartition(".")[0])
        for node in ast.walk(ast.parse((root / path).read_text("utf-8"))):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return sorted(found)


def _file_of(module: str, root: Path) -> Path | None:
    if module.partition(".")[0] not in PACKAGES:
        return None
    path = Path(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if (root / candidate).is_file()), None)
