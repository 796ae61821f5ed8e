"""The commands compare and runs, on runs that the stages have logged to a real MLflow store."""

import csv
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from stages import baseline, compare, evaluate, train
from stages import runs as list_runs
from stages.reports import runs as runs_report
from stages.tracking.process import connect
from tests.synthetic import edit_params, line_of, write_features, write_params, write_raw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(module_workspace):
    """A network with two seeds, one of which has run twice, and another network."""
    write_features({"train": 4, "valid": 2, "test": 4})
    write_raw({"jazz/a.wav": b"x"})
    for words in (("train.seed=0",), ("train.seed=1",), ("model=bare/lstm",), ("train.seed=1",)):
        write_params("train.epochs=2", "runtime.tracking='on'", *words)
        for stage in (baseline, train, evaluate):
            stage.main()
    return module_workspace


def saved() -> dict[str, dict[str, str]]:
    with Path("data/comparison/comparison.csv").open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def compared(monkeypatch, capsys, *words: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["compare", *words])
    compare.main()
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("runs")
class TestRuns:
    """What is printed and saved."""

    def test_seeds_are_one_model(self, monkeypatch, capsys):
        lines = compared(monkeypatch, capsys)
        assert {name: row["n_runs"] for name, row in saved().items()} == {
            "MLP": "2",
            "LSTM": "1",
            "linear baseline": "0",
            "always blues": "0",
        }
        assert sum(line.startswith(tuple(saved())) for line in lines) == 4 + 3
        assert lines[-2:] == [
            "compare: 1 older runs of the same model, fold and seed are left out",
            "compare: data/comparison/ has the table and a figure",
        ]

    def test_a_table_and_a_figure_are_saved(self, monkeypatch, capsys):
        compared(monkeypatch, capsys)
        assert float(saved()["MLP"]["seconds"]) > 0
        assert Path("data/comparison/comparison.png").read_bytes().startswith(b"\x89PNG")

    def test_words_choose_runs(self, monkeypatch, capsys):
        lines = compared(monkeypatch, capsys, "model=MLP", "train.seed=0")
        assert not any(line.startswith("LSTM") for line in lines)
        assert saved()["MLP"]["n_runs"] == "1"

    def test_another_checkout_is_one_more_run(self, monkeypatch, capsys, tmp_path):
        """It differs from what MLflow has in a setting alone."""
        edit_params("model", dropout=0.2)
        for name in ("params.yaml", "data"):
            copy = shutil.copytree if Path(name).is_dir() else shutil.copyfile
            copy(name, tmp_path / name)
        edit_params("model", dropout=0.5)
        lines = compared(monkeypatch, capsys, str(tmp_path), "model=MLP", "train.seed=1")
        assert any(line.startswith("MLP model.dropout=0.2") for line in lines)
        assert len(saved()) == 4
        (tmp_path / "data/evaluation/confusion.csv").unlink()
        assert f"{tmp_path}: " in line_of(compare.main)

    @pytest.mark.parametrize(
        ("word", "line"),
        [
            ("model=MPL", "model=MPL: no such run; there are LSTM, MLP"),
            ("modle=MLP", "no run has modle; did you mean model?"),
            ("model=,", "'model=,' is not KEY=VALUE, such as model=CNN,LSTM"),
            ("MLP", "'MLP' is not KEY=VALUE, such as model=CNN,LSTM"),
        ],
    )
    def test_wrong_words_are_named(self, monkeypatch, word, line):
        monkeypatch.setattr(sys, "argv", ["compare", word])
        assert line_of(compare.main) == line

    def test_lists_and_repeated_keys_choose_runs(self, monkeypatch, capsys):
        compared(monkeypatch, capsys, "features.include=[mfcc,mel]", "model=MLP", "model=LSTM")
        assert {"MLP", "LSTM"} <= set(saved())

    def test_a_tag_of_the_users_splits_no_model(self, monkeypatch, capsys):
        client, experiment_id = connect()
        run = client.search_runs([experiment_id], "tags.model = 'MLP'")[0]
        client.set_tag(run.info.run_id, "paper.table", "1")
        compared(monkeypatch, capsys)
        client.delete_tag(run.info.run_id, "paper.table")
        assert saved()["MLP"]["n_runs"] == "2"

    def test_values_that_no_run_has_together(self, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["compare", "model=LSTM", "train.seed=1"])
        assert "no run has all of these values together" in line_of(compare.main)

    def test_models_that_differ_in_a_setting_are_told_apart(self, monkeypatch, capsys):
        write_params("train.epochs=2", "runtime.tracking='on'")
        edit_params("model", dropout=0.1)
        train.main()
        evaluate.main()
        lines = compared(monkeypatch, capsys)
        assert any(line.startswith("MLP model.dropout=0.1") for line in lines)


@pytest.mark.usefixtures("runs")
class TestList:
    """`encore runs`."""

    def listed(self, monkeypatch, capsys, *words: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["runs", *words])
        list_runs.main()
        return capsys.readouterr().out.splitlines()

    def test_each_finished_run_has_a_line(self, monkeypatch, capsys):
        head, line = self.listed(monkeypatch, capsys, "model=LSTM")
        assert re.sub(" +", " ", head) == "run split accuracy 95 % interval minus baseline experiment started"
        number = r"\d\.\d{3}"
        columns = f"lstm · sample · seed 0 +grouped +{number}  {number} to {number} +[+-]{number} +2"
        assert re.match(columns, line)
        assert len(head) <= 120
        assert len(line) <= 120

    def test_wrong_words_are_named(self, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["runs", "modle=MLP"])
        assert line_of(list_runs.main) == "no run has modle; did you mean model?"


def test_long_names_stay_in_their_column():
    tags = {"split": "a very long scheme", "dvc.exp_name": "a-very-long-name-of-an-experiment"}
    _, line = runs_report.lines([("x" * 60, tags, {}, "2026-01-31 12:00")])
    assert len(line) <= 120
    assert line.startswith("x" * 35 + "… a very lo… ")


@pytest.mark.usefixtures("runs")
class TestLost:
    """Runs that cannot be read are named."""

    @pytest.fixture
    def predictions(self, monkeypatch) -> Iterator[Path]:
        """Those of the LSTM; put right afterwards."""
        monkeypatch.setattr(sys, "argv", ["compare", "model=LSTM"])
        client, experiment_id = connect()
        (run,) = client.search_runs([experiment_id], "tags.model = 'LSTM'")
        path = Path(url2pathname(urlsplit(run.info.artifact_uri).path), "evaluation/predictions.csv")
        before = path.read_bytes()
        yield path
        path.write_bytes(before)

    def test_a_run_whose_results_are_gone(self, predictions):
        predictions.unlink()
        line = line_of(compare.main)
        assert line.startswith("run lstm · ")
        assert "has lost its results" in line

    @pytest.mark.parametrize("kept", [0, 60])
    def test_a_run_whose_results_are_cut(self, predictions, kept):
        predictions.write_bytes(predictions.read_bytes()[:kept])
        assert "has lost" in line_of(compare.main)

    def test_a_run_of_an_older_version(self, predictions):
        predictions.write_bytes(predictions.read_bytes().replace(b"unit", b"other", 1))
        assert "is of an older version" in line_of(compare.main)

    def test_a_run_that_is_not_encores_is_left_out(self, monkeypatch, capsys):
        client, experiment_id = connect()
        run = client.create_run(experiment_id, run_name="a user's own")
        client.set_terminated(run.info.run_id, "FINISHED")
        assert compared(monkeypatch, capsys, "model=MLP")


def test_a_server_that_does_not_answer_is_named(workspace, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["compare"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "MLflow at http://127.0.0.1:9 does not answer" in line_of(compare.main)


def test_without_runs_it_says_so(workspace, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["compare"])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it for the rest of a process
    assert "no run has finished yet" in line_of(compare.main)
