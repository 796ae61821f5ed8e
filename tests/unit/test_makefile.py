"""`make` sets the environment up, keeps it while it is right, and destroys nothing (real make, venv, pip)."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.synthetic import REPO

pytestmark = pytest.mark.slow

BUILD = "setting up .venv"
PIP = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


class Checkout:
    """A folder with the Makefile, a patch, and a lock file of one package, which pip finds installed."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True)
        self.folder = folder
        for name in ("Makefile", "stages/entry/launcher.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO / name, folder / name)
        self.lock("six==1.17.0\n")
        (folder / "requirements.patch").write_text(
            "Why.\n\n--- /dev/null\n+++ b/a_package/part.py\n@@ -0,0 +1 @@\n+mended = True\n"
        )

    def lock(self, text: str) -> None:
        (self.folder / "requirements.lock").write_text(text)

    def make(self, status: int = 0) -> str:
        """What `make environment` prints. Packages come from the environment of the tests."""
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "VIRTUAL_ENV"))
        }
        site = sysconfig.get_path("purelib")
        done = subprocess.run(
            ["make", "environment", f"PYTHON={sys.executable}"],
            cwd=self.folder,
            env=own | PIP | {"CDPATH": ".", "PYTHONPATH": site},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert (done.returncode == 0) == (status == 0), done.stdout
        return done.stdout

    @property
    def environment(self) -> Path:
        return self.folder / ".venv"

    def prefix(self) -> str:
        """The environment that a script in it really runs in."""
        script = self.environment / "bin/where"
        first_line = (self.environment / "bin/pip").read_text().splitlines()[0]
        script.write_text(f"{first_line}\nimport sys\nprint(sys.prefix)\n")
        script.chmod(0o755)
        found = subprocess.run([script], capture_output=True, text=True, check=True).stdout.strip()
        script.unlink()
        return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose first environment is a link to a folder of somebody else's."""
    folder = tmp_path_factory.mktemp("make")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "made-from").write_text("another lock file\n")
    checkout = Checkout(folder / "project")
    checkout.environment.symlink_to(folder / "elsewhere")
    assert BUILD in checkout.make()
    return checkout


def test_scripts_run_in_the_environment_that_was_put_in_place(built: Checkout) -> None:
    assert built.prefix() == str(built.environment)
    assert sorted(path.name for path in built.folder.iterdir()) == [
        ".venv", "Makefile", "requirements.lock", "requirements.patch", "stages",
    ]  # fmt: skip


def test_the_projects_code_is_found_from_any_folder(built: Checkout, tmp_path: Path) -> None:
    (here := built.folder / "stages/here.py").touch()
    found = subprocess.run(
        [built.environment / "bin/python", "-c", "import stages.here as it; print(it.__file__)"],
        cwd=tmp_path, env={}, capture_output=True, text=True,
    )  # fmt: skip
    here.unlink()
    assert found.stdout == f"{here}\n", found.stderr


def test_the_command_runs_the_code_of_the_checkout(built: Checkout, tmp_path: Path) -> None:
    (commands := built.folder / "stages/entry/commands.py").write_text("def main():\n    print(__file__)\n")
    found = subprocess.run(
        [built.environment / "bin/encore"], cwd=tmp_path, env={}, capture_output=True, text=True
    )
    commands.unlink()
    assert found.stdout == f"{commands}\n", found.stderr


def test_a_build_changes_nothing_through_a_link(built: Checkout) -> None:
    assert not built.environment.is_symlink()
    assert [path.name for path in (built.folder.parent / "elsewhere").iterdir()] == ["made-from"]


def test_content_of_the_lock_file_decides_and_no_age(built: Checkout) -> None:
    assert built.make() == ""
    os.utime(built.folder / "requirements.lock")
    assert built.make() == ""


def test_packages_are_mended_by_the_patch_of_the_checkout(built: Checkout) -> None:
    (mended,) = built.environment.glob("lib/python*/site-packages/a_package/part.py")
    assert mended.read_text() == "mended = True\n"


def test_a_patch_that_does_not_fit_stops_the_build(built: Checkout) -> None:
    right = (patch := built.folder / "requirements.patch").read_text()
    patch.write_text("--- a/a_package/part.py\n+++ b/a_package/part.py\n@@ -1 +1 @@\n-before\n+after\n")
    assert "a_package/part.py" in built.make(status=1)
    assert built.prefix() == str(built.environment)
    patch.write_text(right)
    assert built.make() == ""


def test_a_failing_build_leaves_the_old_environment(built: Checkout) -> None:
    built.lock("no-such-package-anywhere==1.0\n")
    assert "no-such-package-anywhere" in built.make(status=1)
    assert built.prefix() == str(built.environment)
    built.lock("six==1.17.0\n")
    assert built.make() == ""


def test_a_link_to_a_right_environment_is_used_as_it_is(built: Checkout, tmp_path: Path) -> None:
    other = Checkout(tmp_path / "other")
    other.environment.symlink_to(built.environment)
    assert other.make() == ""
    assert other.environment.is_symlink()


def test_a_renamed_folder_takes_its_environment_along(built: Checkout) -> None:
    old = built.folder
    built.folder = old.rename(old.with_name("renamed"))
    assert built.make() == f"the project has moved from {old}: scripts of .venv get the new path\n"
    assert built.prefix() == str(built.environment)
    assert built.make() == ""
