"""Verdicts through DVC: a new one runs fetch again, and a file that git does not track is refused."""

from pathlib import Path

import pytest

from stages.core.tables import RawTrack, read_rows
from stages.correcting.journal import Journal
from tests.pipeline.project import Project, stages_run
from tests.unit.test_correcting import verdict

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
REVIEWER = "who-tests"  # the project may have files of others
FILE = f"data/verdicts/{REVIEWER}.csv"


def labels(project: Project) -> dict[str, str]:
    rows = read_rows(project.folder / "data/raw/tracks.csv", RawTrack)
    return {row.track_id: row.label for row in rows}


def test_a_new_verdict_runs_fetch_again(tmp_path_factory: pytest.TempPathFactory, music: Path) -> None:
    project = Project(tmp_path_factory.mktemp("project"), music)
    journal = Journal.of(REVIEWER, project.folder / "data/verdicts")
    journal.append(verdict("high/0.wav", sha256="", was="high", label="low", reviewer=REVIEWER))
    settings = project.settings(f"dataset.labels={FILE}")
    refused = project.run("dvc", "exp", "run", "fetch", *settings)
    assert refused.returncode != 0
    assert f"`git add {FILE}`" in refused.stdout

    project.git("add", FILE)
    project.commit("what they say")
    assert stages_run(project.dvc("exp", "run", "fetch", *settings)) == ["fetch"]
    before = labels(project)
    assert before == {
        path.relative_to(music).as_posix(): "low" if path.match("high/0.wav") else path.parent.name
        for path in music.rglob("*.wav")
    }
    assert stages_run(project.dvc("repro", "fetch")) == []

    journal.append(verdict("noise/1.wav", "ambiguous", sha256="", was="noise", reviewer=REVIEWER))
    output = project.dvc("repro", "fetch")
    assert stages_run(output) == ["fetch"]
    assert f"1 label corrected, 1 taken away (ambiguous or broken audio), by {FILE}" in output
    assert labels(project) == {**before, "noise/1.wav": ""}
