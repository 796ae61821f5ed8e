"""What dvc.lock records of each output, and the content it stands for, where this machine still has it."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import EncoreError

FOLDER = ".dir"  # how DVC's hash of a folder ends


@dataclass(frozen=True)
class Output:
    """An output of a stage.

    Attributes
    ----------
    stage : str
    path : Path
        From the project's root.
    md5 : str
        As dvc.lock has it; empty if it has none.
    """

    stage: str
    path: Path
    md5: str


def recorded_outputs(project: Path) -> list[Output]:
    """Return all outputs of a project's dvc.yaml, in the order of its stages.

    Raises
    ------
    EncoreError
        If DVC cannot read the project, or dvc.lock records none of them.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

    try:
        with Repo(str(project)) as repo:
            outputs = [
                Output(stage.name, Path(out.fs_path).relative_to(project), out.hash_info.value or "")
                for stage in repo.index.stages
                if isinstance(stage, PipelineStage)
                for out in stage.outs
            ]
    except DvcException as error:
        raise EncoreError(f"{project}: DVC cannot read it: {' '.join(str(error).split())}") from None
    if not any(output.md5 for output in outputs):
        raise EncoreError(f"{project}/dvc.lock records no output yet; `dvc repro`, then commit dvc.lock")
    return outputs


def md5_of(path: Path) -> str:
    """Return the hash that DVC gives a file or a folder; empty if there is nothing."""
    if path.is_dir():
        files = [{"md5": md5, "relpath": name} for name, md5 in sorted(files_of(path).items())]
        return hashlib.md5(json.dumps(files, sort_keys=True).encode()).hexdigest() + FOLDER  # noqa: S324
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def files_of(folder: Path) -> dict[str, str]:
    """Return the MD5 of each file of a folder, by its path below it."""
    return {path.relative_to(folder).as_posix(): md5_of(path) for path in folder.rglob("*") if path.is_file()}


class Contents:
    """Finds the content of outputs by their hash: in DVC's cache, in the project's folder, or in git.

    Parameters
    ----------
    project : Path
    """

    def __init__(self, project: Path):
        from dvc.repo import Repo

        self._project = project
        with Repo(str(project)) as repo:
            self._cache: Any = repo.cache.local

    def of(self, md5: str, path: Path) -> bytes | None:
        """Return the file with this hash that an output `path` had; None if this machine has it no more."""
        wanted = md5.removesuffix(FOLDER)
        for place in (Path(self._cache.oid_to_path(md5)), self._project / path):
            if place.is_file() and md5_of(place) == wanted:
                return place.read_bytes()
        command = ["git", "show", f"HEAD:{path.as_posix()}"]
        content = subprocess.run(command, cwd=self._project, capture_output=True).stdout
        return content if hashlib.md5(content).hexdigest() == wanted else None  # noqa: S324

    def files(self, md5: str, path: Path) -> dict[str, str] | None:
        """Return the files of the folder with this hash, as `files_of` does; None as above."""
        content = self.of(md5, path)
        return None if content is None else {file["relpath"]: file["md5"] for file in json.loads(content)}
