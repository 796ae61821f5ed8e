"""DVC links outputs to its cache as the disk can; a stage that replaces one leaves the cache whole."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from stages import links
from stages.core import workspace as workspace_
from stages.core.workspace import outputs
from tests.synthetic import REPO

CONFIG = Path(".dvc/config.local")


@pytest.fixture
def folders(workspace):
    (workspace / "data").mkdir()
    return workspace / "cache/files", workspace / "data"


def refuse(number: int):
    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return link


def test_the_first_type_that_works_is_named_and_nothing_is_left(folders, monkeypatch):
    cache, data = folders
    monkeypatch.setattr(links, "_reflink", lambda original, link: link.write_bytes(b""))
    assert links.link_types(cache, data) == ["reflink", "copy"]
    monkeypatch.setattr(links, "_reflink", refuse(errno.EOPNOTSUPP))
    assert links.link_types(cache, data) == ["hardlink", "copy"]
    monkeypatch.setattr(os, "link", refuse(errno.EXDEV))
    assert links.link_types(cache, data) == ["copy"]
    assert [*cache.iterdir(), *data.iterdir()] == []


def test_a_full_disk_is_no_answer(folders, monkeypatch):
    monkeypatch.setattr(links, "_reflink", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        links.link_types(*folders)


@pytest.fixture
def project(workspace):
    """A project of DVC with one stage, whose output is published as Encore's are."""
    Repo.init(".", no_scm=True)
    Path("data").mkdir()
    Path("make.py").write_text(
        "import sys; from pathlib import Path; from stages.core.workspace import outputs\n"
        "with outputs(Path('data/made')) as folder: (folder / 'a.csv').write_text(Path('in').read_text())\n"
    )
    Path("dvc.yaml").write_text(
        f"stages: {{make: {{cmd: {sys.executable} make.py, deps: [in], outs: [data/made/a.csv]}}}}"
    )
    return workspace


def repro(text: str) -> Path:
    Path("in").write_text(text)
    subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--quiet"],
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    return Path("data/made/a.csv")


@pytest.mark.slow
def test_a_stage_that_replaces_a_linked_output_leaves_the_cache_whole(project, monkeypatch, capsys):
    monkeypatch.setattr(links, "_reflink", refuse(errno.EOPNOTSUPP))
    links.main()
    assert "by hardlink" in capsys.readouterr().out
    first = repro("one")
    with Repo(".") as repo:
        (out,) = repo.index.outs
        cached = Path(repo.cache.local.oid_to_path(out.hash_info.value))
    assert first.samefile(cached)
    assert not os.access(first, os.W_OK) or os.geteuid() == 0
    second = repro("two")
    assert second.read_text() == "two"
    assert not second.samefile(cached)
    assert cached.read_text() == "one"


@pytest.mark.slow
def test_damage_that_a_stage_has_noticed_is_not_brought_back(project, monkeypatch):
    monkeypatch.setattr(links, "_reflink", refuse(errno.EOPNOTSUPP))
    links.main()
    made = repro("one")
    before = made.stat().st_mtime_ns
    made.chmod(0o644)
    made.write_text("onE")
    made.chmod(0o444)
    os.utime(made, ns=(before, before))  # as a disk does it, and DVC's copy is the same file
    assert repro("one").read_text() == "onE", "nobody looks"
    workspace_.distrust(made)
    assert repro("one").read_text() == "one"
    made = repro("one")
    made.chmod(0o644)
    made.write_text("onE")
    made.chmod(0o444)
    os.utime(made, ns=(before, before))
    workspace_.distrust(made)
    made.unlink()  # as its line says
    assert repro("one").read_text() == "one"


def test_what_a_user_has_set_stays(project, monkeypatch):
    CONFIG.write_text("[cache]\n    type = symlink\n")
    links.main()
    assert "type = symlink" in CONFIG.read_text()


def test_outputs_replace_a_read_only_file(workspace):
    for text in ("one", "two"):
        with outputs(Path("data/made")) as folder:
            (folder / "a.csv").write_text(text)
        Path("data/made/a.csv").chmod(0o444)
    assert Path("data/made/a.csv").read_text() == "two"
