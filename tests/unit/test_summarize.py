"""The result in a few lines."""

import json
from pathlib import Path

import pytest

from stages import summarize
from stages.core.documents import write_document
from tests.synthetic import description, line_of, run_stage

TRACK = {
    "accuracy": 0.61234,
    "accuracy_ci95_low": 0.55,
    "accuracy_ci95_high": 0.67,
    "macro_f1": 0.6,
    "balanced_accuracy": 0.59,
}
LINEAR = {**TRACK, "accuracy": 0.71}
METRICS = {
    "test": {"track": TRACK},
    "baseline": {"track": LINEAR},
    "largest_class": {"label": "a class of a long name", "accuracy": 0.1},
}
SOURCE = {"name": "sample", "licence": "MIT", "citation": "us", "caveat": "A toy: no evidence about models."}


def test_headline_sets_the_baseline_beside_the_model():
    header, model, linear, largest = summarize.headline(METRICS, "LSTM")
    assert "95 % interval" in header
    assert model.split() == ["LSTM", "0.612", "0.550", "to", "0.670", "0.600", "0.590"]
    assert linear.startswith("linear baseline")
    assert "0.710" in linear
    assert largest == "always a class o…     0.100"


class TestStage:
    """`python -m stages.summarize`, the end of `make repro`."""

    def test_it_prints_table_caveat_and_where_to_look(self, workspace, capsys):
        for folder in ("evaluation", "model", "raw"):
            Path("data", folder).mkdir(parents=True)
        Path("data/evaluation/metrics.json").write_text(json.dumps(METRICS))
        description(model="LSTM").save(Path("data/model"))
        write_document(Path("data/raw/source.json"), SOURCE)
        summarize.main()
        printed = capsys.readouterr().out
        for part in ("LSTM on sample", "A toy", "0.612", "0.710", "data/evaluation/", "encore ui"):
            assert part in printed

    def test_metrics_of_another_version_are_told(self, workspace):
        for folder in ("evaluation", "model", "raw"):
            Path("data", folder).mkdir(parents=True)
        Path("data/evaluation/metrics.json").write_text(json.dumps({"test": {"track": TRACK}}))
        description(model="LSTM").save(Path("data/model"))
        write_document(Path("data/raw/source.json"), SOURCE)
        assert "of another version; run `dvc repro`" in line_of(summarize.main)

    def test_before_the_first_run_it_says_so(self, workspace):
        assert "make repro" in line_of(summarize.main)

    @pytest.mark.parametrize("argument", ["--bogus", "x"])
    def test_arguments_it_does_not_know_end_with_help_and_status_2(self, workspace, argument):
        done = run_stage("summarize", workspace, argument)
        assert done.returncode == 2
        assert done.stdout.strip()
