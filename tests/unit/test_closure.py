"""Import closures are computed from the source alone."""

from pathlib import Path

import pytest

from stages.storage.closure import import_closure
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


def test_everything_reached_is_in_it_once_and_nothing_else(project):
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


def test_other_packages_are_not_ours(project):
    (project / "stages/b.py").write_text("import other\nimport stagesque\n")
    assert [path.name for path in import_closure("stages.b", project)] == ["b.py"]


def test_a_module_that_is_not_there_has_none(project):
    assert import_closure("stages.nothing", project) == []


def test_it_covers_what_python_really_loads():
    """Every module of the project that a stage's top-level imports load is in its closure."""
    import subprocess
    import sys

    probe = (
        "import sys, stages.extract, stages.baseline\n"
        "print([m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] in ('stages', 'models')])"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=REPO, capture_output=True, text=True, check=True)
    loaded = {Path(file).relative_to(REPO) for file in eval(done.stdout)}
    loaded = {path for path in loaded if path.name != "__init__.py"}  # docstrings alone
    assert loaded <= {*import_closure("stages.extract", REPO), *import_closure("stages.baseline", REPO)}
    assert len(loaded) > 8
