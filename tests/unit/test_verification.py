"""Differences between a recorded and a found output are named: where, how many values, how much, and why."""

import hashlib
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path, PurePath

import h5py
import numpy as np
import pytest
from dvc.repo import Repo
from safetensors.numpy import save

from stages.core import numerics
from stages.core.errors import EncoreError
from stages.core.params import read
from stages.verification import machine
from stages.verification.differences import MOST, differences
from stages.verification.recorded import Output, files_of, md5_of, recorded_outputs
from stages.verify import check, compare, make_clone, prepare_clone, run_pipeline
from tests.synthetic import REPO, line_of, write_params


def h5(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=np.array(values), fletcher32=np.ndim(values) > 0)
    return buffer.getvalue()


def js(**values: object) -> bytes:
    return json.dumps(values).encode()


MEL = np.zeros((2, 3), np.float32)
MOVED = MEL + np.array([[0, 0.25, 0], [0, 0, -0.5]], np.float32)


@pytest.mark.parametrize(
    ("name", "recorded", "found", "wanted"),
    [
        ("f.h5", h5(mel=MEL, zcr=MEL), h5(mel=MOVED, zcr=MEL), ["mel: 2 of 6 values differ, by at most 0.5"]),
        ("f.h5", h5(mel=MEL), h5(mel=MEL[:1]), ["mel: shape (1, 3), recorded (2, 3)"]),
        ("f.h5", h5(mel=MEL, zcr=MEL), h5(mel=MEL, rms=MEL), ["rms: not recorded", "zcr: missing"]),
        ("f.h5", h5(mel=[np.nan, 1.0]), h5(mel=[np.nan, 2.0]), ["mel: 1 of 2 values differs, by at most 1"]),
        ("f.h5", h5(mel=[1.0, 1.0]), h5(mel=[np.nan, 1.0]), ["mel: 1 of 2 values differs"]),
        ("f.h5", h5(id=[b"a", b"b"]), h5(id=[b"a", b"c"]), ["id: 1 of 2 values differs"]),
        ("f.h5", h5(mel=MEL), h5(mel=MEL)[:-9], None),
        ("w.safetensors", save({"w": MEL}), save({"w": MOVED}), ["w: 2 of 6 values differ, by at most 0.5"]),
        ("t.csv", b"a,b\n1,x\n2,y\n", b"a,b\n1,x\n4,z\n", [
            "column a: 1 of 2 values differs, by at most 2", "column b: 1 of 2 values differs",
        ]),
        ("t.csv", b"a\n1\n", b"a\n1\n2\n", ["column a: shape (2,), recorded (1,)"]),
        ("m.json", js(t={"a": 0.5}, n="x"), js(t={"a": 0.75}, n="x"), ["t.a: 1 differs, by at most 0.25"]),
        ("m.json", js(n="x"), js(n="y"), ["n: 1 differs"]),
        ("m.json", b'{"a": 1}', b'{"a":  1}', ["9 bytes, recorded 8"]),
        ("p.png", b"abcd", b"aXcY", ["2 of 4 bytes differ, the first at 1"]),
    ],
)  # fmt: skip
def test_a_difference_is_named(name, recorded, found, wanted):
    lines = differences(PurePath(name), recorded, found)
    if wanted is None:
        assert len(lines) == 1
        assert lines[0].startswith("cannot be read: ")
    else:
        assert lines == wanted


def test_a_flipped_byte_names_the_array_that_cannot_be_read():
    whole = h5(mel=np.arange(5000.0), rms=np.arange(9.0))
    place = whole.index(np.float64(4321).tobytes())
    damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    (line,) = differences(PurePath("f.h5"), whole, damaged)
    assert line.startswith("cannot be read: mel: ")


def test_many_differences_are_counted():
    lines = differences(PurePath("m.json"), js(**{f"k{i}": 0 for i in range(20)}), js())
    assert lines[MOST:] == [f"and {20 - MOST} more"]


class Known:
    """Recorded contents by hash."""

    def __init__(self, *contents: bytes, folders: dict[str, dict[str, str]] | None = None):
        self._contents = {hashlib.md5(content).hexdigest(): content for content in contents}
        self._folders = folders or {}

    def of(self, md5: str, path: Path) -> bytes | None:
        return self._contents.get(md5)

    def files(self, md5: str, path: Path) -> dict[str, str] | None:
        return self._folders.get(md5)


@pytest.fixture
def folder(workspace: Path) -> Path:
    for name in ("a.png", "b.png"):
        (workspace / "pages").mkdir(exist_ok=True)
        (workspace / "pages" / name).write_bytes(name.encode())
    return workspace


PAGES = Path("pages")


def test_an_equal_folder_has_no_lines_and_each_change_of_a_file_has_one(folder):
    md5, files = md5_of(folder / PAGES), files_of(folder / PAGES)
    output, known = Output("pictures", PAGES, md5), Known(b"a.png", folders={md5: files})
    assert compare(output, folder, known) == []
    (folder / "pages/a.png").write_bytes(b"a.pnG")
    (folder / "pages/b.png").rename(folder / "pages/c.png")
    assert compare(output, folder, known) == [
        "a.png: 1 of 5 bytes differ, the first at 4",
        "b.png: missing",
        "c.png: not recorded",
    ]
    (line,) = compare(output, folder, Known())
    assert "not known without DVC's cache" in line


@pytest.mark.parametrize(
    ("path", "md5", "words"),
    [
        ("none.csv", "0" * 32, "missing; `dvc checkout` or `dvc repro` brings it back"),
        ("pages", "", "dvc.lock does not record it"),
        ("none.csv", "", "dvc.lock does not record it"),
        ("pages/a.png", "0" * 32, "the recorded file is not in DVC's cache here"),
    ],
)
def test_what_cannot_be_compared_says_why(folder, path, md5, words):
    (line,) = compare(Output("fetch", Path(path), md5), folder, Known())
    assert words in line


def test_a_folder_that_is_no_commit_ends_in_one_line(workspace):
    for _ in ("no repository", "no commit"):
        line = line_of(lambda: make_clone(workspace, workspace / "clone"))
        assert "what is verified is the last commit of a git repository" in line
        subprocess.run(["git", "init", "--quiet"], check=True)
    assert "DVC cannot read it" in line_of(lambda: recorded_outputs(workspace))
    Repo.init(".", no_scm=True)
    assert "records no output yet" in line_of(lambda: recorded_outputs(workspace))


@pytest.mark.slow
def test_nothing_is_taken_from_a_cache_that_projects_share(workspace):
    """Else the pipeline would not run, and agree with itself."""
    project = workspace / "project"
    project.mkdir()
    Repo.init(str(project), no_scm=True)
    (project / "params.yaml").write_text("runtime: {tracking: 'on', device: auto}")
    (project / "dvc.yaml").write_text("stages: {make: {cmd: date +%N > made, outs: [made]}}")
    with Repo(str(project)) as repo, repo.config.edit("repo") as config:
        config["cache"] = {"dir": str(workspace / "shared")}
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-C", str(project)]
    run_pipeline(project)
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "made"]):
        subprocess.run([*git, *words], check=True)
    clone = workspace / "clone"
    make_clone(project, clone)
    (output,) = recorded_outputs(clone)
    prepare_clone(clone, is_exact=True)
    params = read("runtime", clone / "params.yaml")
    assert params == {"tracking": "off", "device": "cpu"}
    run_pipeline(clone)
    assert [*(clone / ".dvc/cache/files/md5").iterdir()]
    assert compare(output, clone, Known()) != []


def environment(folder: Path, edit: Callable[[str], str] = str) -> None:
    for name in ("pyproject.toml", "requirements.lock"):
        (folder / name).write_text(edit((REPO / name).read_text()))


def test_another_version_of_a_package_is_named(workspace):
    write_params("runtime.device=cpu")
    environment(workspace)
    assert not [line for line in machine.explanations(workspace) if "should be" in line]
    environment(workspace, lambda text: text.replace("h5py==", "h5py==9.").replace("torch==2", "torch==9"))
    lines = [line for line in machine.explanations(workspace) if "should be" in line]
    assert [line.split()[0] for line in lines] == ["h5py", "torch"]
    assert "and should be ==9.13.0: run make again" in lines[1]


def test_inexact_settings_and_a_cpu_without_avx2_are_named(workspace, monkeypatch):
    environment(workspace)
    write_params("runtime.device=cpu", "numerics.exact=false")
    monkeypatch.setitem(numerics.GIVEN, "ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setattr(machine, "has_avx2", lambda: False)
    lines = machine.explanations(workspace)
    assert lines[0].startswith("numerics.exact is false: ")
    assert "ATEN_CPU_CAPABILITY is set to 'default'" in lines
    assert "no AVX2" in lines[-1]


def test_the_first_stage_that_differs_ends_the_line(folder, monkeypatch, capsys):
    monkeypatch.setattr("stages.verify.Contents", lambda project: Known())
    monkeypatch.setattr(machine, "explanations", lambda folder: ["the moon is full"])
    outputs = [Output("fetch", PAGES, md5_of(folder / PAGES)), Output("train", Path("pages/a.png"), "0" * 32)]
    with pytest.raises(EncoreError, match=r"1 of 2 outputs .*the first stage that differs is train"):
        check(outputs, folder, folder)
    said = capsys.readouterr().out
    assert "may explain it: the moon is full" in said
    assert [line.split()[-1] for line in said.splitlines() if "pages" in line] == ["equal", "DIFFERS"]
