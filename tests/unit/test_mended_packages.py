"""What requirements.patch mends in DVC: two experiments at once leave each other's files alone."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc_objects.fs import system


@pytest.mark.parametrize("supported", [True, False])
def test_a_reflink_never_empties_its_target(tmp_path, monkeypatch, supported):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("whole")
    target.write_text("whole")

    def ioctl(descriptor: int, *_: object) -> None:
        assert target.read_text() == "whole"
        if not supported:
            raise OSError(errno.EOPNOTSUPP, "refused")
        os.write(descriptor, b"whole")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    if supported:
        system.reflink(str(source), str(target))
    else:
        with pytest.raises(OSError, match="refused"):
            system.reflink(str(source), str(target))
    assert target.read_text() == "whole"
    assert sorted(tmp_path.iterdir()) == [source, target]


@pytest.mark.slow
def test_the_run_cache_leaves_an_unfinished_entry_to_its_writer(workspace):
    Repo.init(".", no_scm=True)
    Path("in").touch()
    Path("dvc.yaml").write_text("stages: {make: {cmd: echo made >out, deps: [in], outs: [out]}}")
    assert "Running stage 'make'" in repro_without_lock()
    (entry,) = Path(".dvc/cache/runs").glob("*/*/*")
    content = entry.read_text()
    unfinished = entry.with_name(".of-another.tmp")
    unfinished.write_text("cmd: ")
    assert "Stage 'make' is cached" in repro_without_lock()
    entry.unlink()
    assert "Running stage 'make'" in repro_without_lock()
    assert entry.read_text() == content
    assert unfinished.read_text() == "cmd: "


def repro_without_lock() -> str:
    Path("dvc.lock").unlink(missing_ok=True)
    command = [sys.executable, "-m", "dvc", "repro"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
