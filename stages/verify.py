"""Run the pipeline again in a fresh clone, and compare every output with dvc.lock, byte by byte.

encore verify          what was committed, computed anew in a temporary folder
encore verify quick    the outputs that are here, compared with dvc.lock: has a disk changed them?

Ends with exit status 1 if something differs: it names the files, arrays and values, the first stage, and what
of this machine could explain it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.workspace import root, work_cache
from stages.entry.command import run_command
from stages.entry.internals import internals
from stages.verification import machine
from stages.verification.differences import differences
from stages.verification.recorded import Contents, Output, files_of, md5_of, recorded_outputs

LARGEST = 2_000_000_000  # bytes that are compared value by value, in memory


def main() -> None:
    """Verify the committed state, or with ``quick`` what is in the workspace."""
    project = root()
    if sys.argv[1:] == ["quick"]:
        check(recorded_outputs(project), project, project)
    elif sys.argv[1:]:
        raise EncoreError(f"{' '.join(sys.argv[1:])}: the only word is quick")
    else:
        with tempfile.TemporaryDirectory(dir=work_cache("verify")) as folder:
            clone = Path(folder, "encore")
            make_clone(project, clone)
            outputs = recorded_outputs(clone)
            prepare_clone(clone, machine.is_exact(clone / "params.yaml"))
            run_pipeline(clone)
            check(outputs, clone, project)


def make_clone(project: Path, clone: Path) -> None:
    """Clone the last commit; only what was downloaded is shared, since its source publishes its hash.

    Raises
    ------
    EncoreError
        If the project is not the root of a git repository with a commit.
    """
    if changed := _git(project, "status", "--porcelain").splitlines():
        print(f"note: {len(changed)} changes that are not committed are not verified")
    _git(project, "rev-parse", "HEAD")
    _git(project, "clone", "--quiet", str(project), str(clone))
    downloads = project / ".encore/downloads"
    if downloads.is_dir():
        (clone / ".encore").mkdir()
        (clone / ".encore/downloads").symlink_to(downloads)


def prepare_clone(clone: Path, is_exact: bool) -> None:
    """Give a clone its own DVC cache, and turn tracking off; if it `is_exact`, models run on the CPU.

    No stage depends on these settings.
    """
    (clone / ".dvc/config.local").write_text("[cache]\n    dir = cache\n", "utf-8")  # below .dvc
    with internals().modify_yaml(str(clone / "params.yaml")) as values:
        values["runtime"]["tracking"] = "off"
        if is_exact:
            values["runtime"]["device"] = "cpu"


def _git(project: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=project, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["unknown"])[-1].removeprefix("fatal: ")
        raise EncoreError(f"{project}: what is verified is the last commit of a git repository: {reason}")
    return done.stdout


def run_pipeline(clone: Path) -> None:
    """Run ``dvc repro`` in the clone with this environment; its output is shown."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DVC_ROOT": str(clone)}
    done = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=clone, env=environment)
    if done.returncode:
        raise EncoreError("the pipeline failed in a fresh clone of the last commit; its lines above say why")


def check(outputs: Sequence[Output], folder: Path, project: Path) -> None:
    """Print how each output in `folder` compares with what is recorded.

    Raises
    ------
    EncoreError
        If one differs.
    """
    contents = Contents(project)
    print(f"\nthis machine: {machine.description()}")
    different = []
    for output in outputs:
        lines = compare(output, folder, contents)
        print(f"{output.stage:9} {output.path!s:36} {'DIFFERS' if lines else 'equal'}")
        for line in lines:
            print(f"{'':9} {line}")
        if lines:
            different.append(output)
    if not different:
        print(f"all {len(outputs)} outputs are as dvc.lock records them")
        return
    for line in machine.explanations(folder):
        print(f"may explain it: {line}")
    raise EncoreError(
        f"{len(different)} of {len(outputs)} outputs are not as dvc.lock records them; "
        f"the first stage that differs is {different[0].stage}"
    )


def compare(output: Output, folder: Path, contents: Contents) -> list[str]:
    """Return where an output differs from what is recorded, in lines; none if it is equal."""
    if not output.md5:
        return ["dvc.lock does not record it; `dvc repro` does"]
    path = folder / output.path
    found = md5_of(path)
    if found == output.md5:
        return []
    if not found:
        return ["missing; `dvc checkout` or `dvc repro` brings it back"]
    if not path.is_dir():
        return _of_file(output.path, output.md5, path, contents)
    recorded = contents.files(output.md5, output.path)
    if recorded is None:
        return ["some of its files; which, is not known without DVC's cache of the recorded ones"]
    here, lines = files_of(path), []
    for name in sorted({*recorded, *here}):
        if name not in here or name not in recorded:
            lines.append(f"{name}: {'missing' if name in recorded else 'not recorded'}")
        elif here[name] != recorded[name]:
            of_file = _of_file(output.path / name, recorded[name], path / name, contents)
            lines += [f"{name}: {line}" for line in of_file]
    return lines


def _of_file(name: Path, md5: str, found: Path, contents: Contents) -> list[str]:
    if found.stat().st_size > LARGEST:
        return [f"its hash; the values of files over {LARGEST / 1e9:g} GB are not compared"]
    recorded = contents.of(md5, name)
    if recorded is None:
        return ["its hash; the recorded file is not in DVC's cache here, so no values are compared"]
    return differences(name, recorded, found.read_bytes())


if __name__ == "__main__":
    run_command(main, takes_words=True)
