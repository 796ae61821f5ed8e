"""Import closures come from the source alone."""

from pathlib import Path

import pytest

from stages.storage.closure import NEUTRAL, import_closure
from tests.synthetic import REPO


@pytest.fixture
def project(tmp_path):
    files = {
        "stages/__init__.py": "",
        "stages/a.py": "import os\nfrom stages import b\nimport numpy.linalg\n",
        "stages/b.py": "def f():\n    from stages.deep.c import thing\n",
        "stages/deep/__init__.py": "from stages import e\n",
        "stages/deep/c.py": "import models\nfrom stages import a\n",
        "stages/deep/unused.py": "",
        "stages/e.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import stages.f as f\n",
        "stages/f.py": "",
        "models/__init__.py": "from models.net import Net\n",
        "models/net.py": "import torch\n",
        "other/__init__.py": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_it_has_every_imported_file_once_and_nothing_else(project):
    assert [path.as_posix() for path in import_closure("stages.a", project)] == [
        "models/__init__.py",
        "models/net.py",
        "stages/a.py",
        "stages/b.py",
        "stages/deep/__init__.py",
        "stages/deep/c.py",
        "stages/e.py",
        "stages/f.py",
    ]


def test_other_packages_are_left_out(project):
    (project / "stages/b.py").write_text("import other\nimport stagesque\n")
    assert [path.name for path in import_closure("stages.b", project)] == ["b.py"]


@pytest.mark.parametrize("package", NEUTRAL)
def test_packages_that_change_no_result_are_not_followed(project, package):
    folder = project.joinpath(*package.split("."))
    folder.mkdir()
    (folder / "__init__.py").write_text("from stages import f\n")
    (folder / "inner.py").write_text("from stages import f\n")
    (project / "stages/b.py").write_text(f"from {package} import inner\nimport {package}_2\n")
    (project / f"{package.replace('.', '/')}_2.py").write_text("")
    name = package.rpartition(".")[2]
    closure = [path.as_posix() for path in import_closure("stages.b", project)]
    assert closure == ["stages/b.py", f"stages/{name}_2.py"]


def test_a_package_with_only_a_docstring_does_not_count(project):
    (project / "stages/deep/__init__.py").write_text('"""Deep."""\n')
    (project / "stages/b.py").write_text("import stages.deep.c\n")
    assert "stages/deep/__init__.py" not in {path.as_posix() for path in import_closure("stages.b", project)}


def test_an_edit_is_seen_at_once(project):
    assert len(import_closure("stages.a", project)) > 1
    (project / "stages/a.py").write_text("import os\n")
    assert [path.name for path in import_closure("stages.a", project)] == ["a.py"]


def test_a_missing_module_has_no_files(project):
    assert import_closure("stages.nothing", project) == []


def test_it_covers_what_python_loads():
    """Every module of the project that a stage loads is in its closure, but for neutral packages."""
    import subprocess
    import sys

    probe = (
        "import sys, stages.extract, stages.baseline\n"
        "print([m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] in ('stages', 'models')])"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=REPO, capture_output=True, text=True, check=True)
    loaded = {Path(file).relative_to(REPO) for file in eval(done.stdout)}
    loaded = {path for path in loaded if path.name != "__init__.py"}  # only docstrings
    neutral = {Path(*package.split(".")) for package in NEUTRAL}
    loaded = {path for path in loaded if not neutral & {*path.parents}}
    assert loaded <= {*import_closure("stages.extract", REPO), *import_closure("stages.baseline", REPO)}
    assert len(loaded) > 8
