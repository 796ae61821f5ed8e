"""Run the pipeline again in a fresh clone, and compare every output with dvc.lock, byte by byte.

make verify            what was committed, computed anew in a temporary folder
make verify QUICK=1    the outputs that are here, compared with dvc.lock: has a disk changed them?

Ends with exit status 1 if something differs: it names the files, arrays and values, the first stage, and what
of this machine could explain it.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.workspace import root
from stages.entry.command import run_command
from stages.verification import machine
from stages.verification.differences import differences
from stages.verification.recorded import Contents, Output, files_of, md5_of, recorded_outputs


def main() -> None:
    """Verify the committed state, or with ``quick`` what is in the workspace."""
    project = root()
    if sys.argv[1:] == ["quick"]:
        check(recorded_outputs(project), project, project)
    elif sys.argv[1:]:
        raise EncoreError(f"{' '.join(sys.argv[1:])}: the only word is quick")
    else:
        with tempfile.TemporaryDirectory(prefix="encore-verify-") as folder:
            clone = Path(folder, "encore")
            make_clone(project, clone)
            outputs = recorded_outputs(clone)
            run_pipeline(clone)
            check(outputs, clone, project)


def make_clone(project: Path, clone: Path) -> None:
    """Clone the last commit; only what was downloaded is shared, since its source publishes its hash."""
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if changed:
        print(f"note: {len(changed)} changes that are not committed are not verified")
    subprocess.run(["git", "clone", "--quiet", str(project), str(clone)], check=True)
    downloads = project / ".encore/downloads"
    if downloads.is_dir():
        (clone / ".encore").mkdir()
        (clone / ".encore/downloads").symlink_to(downloads)


def run_pipeline(clone: Path) -> None:
    """Run ``dvc repro`` in the clone with this environment; its output is shown, and no run is tracked."""
    params = clone / "params.yaml"
    text = re.sub(r"^( +tracking:).*$", r'\1 "off"', params.read_text("utf-8"), flags=re.MULTILINE)
    params.write_text(text, "utf-8")
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
    for line in machine.explanations(project):
        print(f"may explain it: {line}")
    raise EncoreError(
        f"{len(different)} of {len(outputs)} outputs are not as dvc.lock records them; "
        f"the first stage that differs is {different[0].stage}"
    )


def compare(output: Output, folder: Path, contents: Contents) -> list[str]:
    """Return where an output differs from what is recorded, in lines; none if it is equal."""
    path = folder / output.path
    found = md5_of(path)
    if found == output.md5:
        return []
    if not output.md5:
        return ["dvc.lock does not record it; `dvc repro` does"]
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
    recorded = contents.of(md5, name)
    if recorded is None:
        return ["its hash; the recorded file is not in DVC's cache here, so no values are compared"]
    return differences(name, recorded, found.read_bytes())


if __name__ == "__main__":
    run_command(main, takes_words=True)
