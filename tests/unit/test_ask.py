"""`encore predict`: files and folders, over time, and music that is sorted by genre."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from stages import baseline, decode, evaluate, extract, fetch, segment, split, train
from stages.asking.files import music_files
from stages.asking.scoring import genres
from stages.core.errors import EncoreError
from stages.inference.listening import Segments
from stages.inference.overview import FRAMES, HOP_LENGTH, MOST, Overview
from stages.inference.prediction import Predictor
from stages.training.trained import TrainedModel
from tests.asking import asked
from tests.synthetic import CLASSES, RATE_HZ, REPO, line_of, noise, start_stage, write_music, write_params

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def music(module_workspace):
    """The folder of a little music, of which the workspace has a model; each segment lasts a second."""
    folder = write_music(module_workspace / "music")
    write_params("dataset=folder", f"dataset.path={folder}", "model=bare/mlp", "train.epochs=2")
    for stage in (fetch, decode, segment, split, extract, baseline, train, evaluate):
        stage.main()
    return folder


@pytest.fixture
def ask(music, monkeypatch, capsys):
    return lambda *words, status=0: asked(monkeypatch, capsys, "predict", *map(str, words), status=status)


def evaluated() -> list[dict[str, str]]:
    with Path("data/evaluation/predictions.csv").open() as file:
        return list(csv.DictReader(file))


class TestPredict:
    def test_a_folder_has_what_the_evaluation_says_of_its_test_tracks(self, ask, music, capsys):
        rows = {row["file"]: row for row in csv.DictReader(ask(music, "--csv").splitlines())}
        assert len(rows) == 6 * len(CLASSES)
        for wanted in evaluated():
            row = rows[str(music / wanted["track_id"])]
            assert row["genre"] == wanted["predicted"]
            for label in CLASSES:
                assert float(row[f"probability_{label}"]) == pytest.approx(float(wanted[label]), abs=1e-5)
            assert float(row["probability"]) >= float(row["second_probability"])
            assert (float(row["seconds"]), row["problem"], row["note"]) == (3, "", "")
        assert f"model: {Path('data/model').resolve()}" in capsys.readouterr().out

    def test_names_that_no_terminal_can_show(self, ask, tmp_path):
        odd = [tmp_path / os.fsdecode(name) for name in (b"a\nb.wav", b"c\xe9.wav", b"d\x1b[31m.wav")]
        for path in odd:
            soundfile.write(path.open("wb"), noise(2 * RATE_HZ), RATE_HZ, format="WAV")
        lines = ask(tmp_path).splitlines()
        assert len(lines) == 4
        assert all(line.isprintable() for line in lines)
        assert [row["file"] for row in json.loads(ask(tmp_path, "--json"))["files"]] == [*map(str, odd)]
        table = io.StringIO(ask(odd[0], odd[2], "--csv"), newline="")
        assert [row["file"] for row in csv.DictReader(table)] == [str(odd[0]), str(odd[2])]

    def test_what_cannot_be_used_is_named_and_the_others_go_on(self, ask, tmp_path, capsys):
        soundfile.write(tmp_path / "a.wav", noise(2 * RATE_HZ), RATE_HZ)
        soundfile.write(tmp_path / "b.wav", np.zeros(2 * RATE_HZ), RATE_HZ)
        soundfile.write(tmp_path / "c.flac", noise(RATE_HZ // 2), RATE_HZ)
        (tmp_path / "d.mp3").write_bytes(b"no music")
        (tmp_path / "e.ogg").touch()
        (tmp_path / "notes.txt").touch()
        lines = ask(tmp_path, status=3).splitlines()
        for line, words in zip(
            lines[1:],
            (
                "a.wav",
                "is silent",
                "lasts 0.5 s, less than a segment of 1 s",
                "cannot be decoded",
                "is an empty file",
            ),
            strict=True,
        ):
            assert words in line
        remarks = capsys.readouterr().out
        assert "5 files = 1 predicted + 4 that cannot be used" in remarks
        assert "left out 1 files without the suffix of music: .txt 1" in remarks

    def test_a_part_that_cannot_be_read_is_noted(self, ask, tmp_path):
        path = tmp_path / "half.wav"
        soundfile.write(path, noise(3 * RATE_HZ), RATE_HZ, subtype="PCM_16")
        path.write_bytes(path.read_bytes()[: -2 * RATE_HZ])
        (file,) = json.loads(ask(path, "--json"))["files"]
        assert "should last 3.00 s, but 2.00 s can be read" in file["note"]
        assert sum(file["probabilities"].values()) == pytest.approx(1)

    def test_new_music_is_marked_by_the_threshold_of_the_evaluation(self, ask, tmp_path, capsys):
        model = tmp_path / "model"
        shutil.copytree("data/model", model)
        soundfile.write(tmp_path / "a.wav", noise(RATE_HZ), RATE_HZ)
        for limit, is_new in ((0.0, True), (1.0, False)):
            (model / "metrics.json").write_text(json.dumps({"open_set": {"threshold": limit}}))
            answer = json.loads(ask("--model", model, "--json", tmp_path / "a.wav"))
            assert (answer["threshold"], answer["files"][0]["is_new"]) == (limit, is_new)
            assert ("unlike anything the model learnt from" in capsys.readouterr().out) == is_new
        (model / "metrics.json").unlink()
        assert json.loads(ask("--model", model, "--json", tmp_path / "a.wav"))["files"][0]["is_new"] is None
        assert "this model was not evaluated" in capsys.readouterr().out

    def test_quiet_prints_the_answer_alone(self, ask, music, capsys):
        assert len(ask(music / CLASSES[0], "--quiet").splitlines()) == 1 + 6
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["gone.wav"], "gone.wav: no such file or folder"),
            (["data/model"], "data/model: no music in this folder, or in folders in it"),
            (["--model", "data", "x"], "x: no such file or folder"),
            (["--model", "data", "music"], "data: has no model.json; give the folder that train wrote"),
            (["--map", "a", "music"], "--map a: should be FOLDER=GENRE"),
            (["--map", "a=jaz", "music"], "--map a=jaz: the model has no genre jaz; did you mean jazz?"),
            (["--map", "a=jazz", "music"], "--map a=jazz: there is no music in a folder a"),
            (["--to", "params.yaml", "--over-time", "music"], "--to params.yaml: not a folder"),
            (["--run", "none", "music"], "none: no finished run; `encore runs` lists them"),
        ],
    )
    def test_slips_end_in_one_line(self, music, monkeypatch, words, line):
        from stages import predict

        monkeypatch.setattr(sys, "argv", ["encore predict", *words])
        assert line in line_of(predict.main)


class TestEnd:
    def test_ctrl_c_ends_it_without_a_word_and_with_all_its_processes(self, music, tmp_path):
        soundfile.write(tmp_path / "000.wav", noise(3 * RATE_HZ), RATE_HZ)
        half_an_hour = np.tile(noise(60 * RATE_HZ), 30)
        soundfile.write(tmp_path / "001.wav", half_an_hour, RATE_HZ)
        for i in range(2, 30):  # far more than is answered before the signal comes
            (tmp_path / f"{i:03}.wav").hardlink_to(tmp_path / "001.wav")
        process = start_stage("predict", Path.cwd(), str(tmp_path))
        lines = [process.stdout.readline() for _ in range(2)]
        assert "000.wav" in lines[1]
        processes = psutil.Process(process.pid).children(recursive=True)
        assert processes
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in rest
        assert psutil.wait_procs(processes, timeout=30)[1] == []

    def test_a_reader_that_goes_away_ends_it_without_a_word(self, music):
        command = f"{sys.executable} -m stages.predict {music} {music} --quiet | head -1"
        done = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "PYTHONPATH": str(REPO)},
            capture_output=True,
            text=True,
        )
        assert done.stdout.split() == ["file", "genre", "probability", "second", "novelty"]
        assert "Traceback" not in done.stderr
        assert "error" not in done.stderr


class TestScore:
    def test_folders_are_scored_without_the_music_of_the_training(self, ask, music, capsys):
        score = json.loads(ask(music, "--json"))["score"]
        rows = evaluated()
        n_right = sum(row["label"] == row["predicted"] for row in rows)
        assert (score["n"], score["accuracy"]) == (len(rows), n_right / len(rows))
        assert sum(cell["n"] for cell in score["confusion"] if cell["genre"] == cell["predicted"]) == n_right
        assert score["accuracy_ci95_low"] <= score["accuracy"] <= score["accuracy_ci95_high"]
        n_learnt = 6 * len(CLASSES) - len(rows)
        assert f"not scored: {n_learnt} files that the model has learnt from" in capsys.readouterr().out

    def test_folders_with_other_names_are_mapped(self, ask, tmp_path, capsys):
        for place, folder in enumerate(("JAZZ", "Swing", "Speech")):
            (tmp_path / folder).mkdir()
            soundfile.write(tmp_path / folder / "a.wav", noise(2 * RATE_HZ, place), RATE_HZ)
        lines = ask(tmp_path, "--map", "Swing=jazz").splitlines()
        assert any(line.startswith("accuracy ") and "of 2 files" in line for line in lines)
        remarks = capsys.readouterr().out
        for remark in (
            "the folder JAZZ counts as jazz",
            "the folder Swing counts as jazz",
            "not scored: 1 file in folders that are no genre of the model: Speech; --map Speech=GENRE",
        ):
            assert remark in remarks

    def test_the_projects_model_is_known_by_any_path_and_folders_may_have_an_equals_sign(
        self, ask, music, tmp_path, capsys
    ):
        wanted = json.loads(ask(music, "--json"))["score"]
        assert json.loads(ask(music, "--json", "--model", Path("data/model").resolve()))["score"] == wanted
        (tmp_path / "80s=jazz").mkdir()
        soundfile.write(tmp_path / "80s=jazz" / "a.wav", noise(2 * RATE_HZ), RATE_HZ)
        ask(tmp_path, "--map", "80s=jazz=jazz")
        assert "the folder 80s=jazz counts as jazz" in capsys.readouterr().out

    def test_folders_that_are_no_genres_are_not_scored(self, ask, tmp_path, capsys):
        (tmp_path / "album").mkdir()
        soundfile.write(tmp_path / "album" / "a.wav", noise(2 * RATE_HZ), RATE_HZ)
        assert "accuracy" not in ask(tmp_path)
        assert "not scored: no folder has the name of a genre of the model: album" in capsys.readouterr().out

    def test_many_genres_are_listed_by_what_is_confused_most(self):
        labels = [f"genre {i}" for i in range(30)]
        found = genres([f"Genre-{i}" for i in range(30)], labels, [])
        assert found.genre_of == {f"Genre-{i}": f"genre {i}" for i in range(30)}

    def test_a_genre_of_the_very_name_comes_first(self):
        found = genres(["Rock", "ROCK"], ["Rock", "rock"], [])
        assert found.genre_of == {"Rock": "Rock", "ROCK": "rock"}


class TestOverTime:
    def test_each_second_has_the_segment_about_it(self, ask, tmp_path):
        samples = np.concatenate(
            [noise(RATE_HZ, seed, level) for seed, level in ((1, 0.3), (2, 0.02), (3, 0.5))]
        )
        soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
        ask(tmp_path / "a.wav", "--over-time", "--to", tmp_path / "to")
        with (tmp_path / "to/a.wav.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["second"] for row in rows] == ["0", "1", "2"]
        predictor = Predictor(TrainedModel.load(Path("data/model")))
        for second, row in enumerate(rows):  # segments last a second
            part = samples[second * RATE_HZ : (second + 1) * RATE_HZ]
            soundfile.write(tmp_path / "part.wav", part, RATE_HZ, subtype="FLOAT")
            wanted = predictor.predict(tmp_path / "part.wav", "").probability
            for label in CLASSES:
                assert float(row[f"probability_{label}"]) == pytest.approx(wanted[label], abs=1e-5)
        assert (tmp_path / "to/a.wav.png").read_bytes().startswith(b"\x89PNG")

    def test_folders_keep_their_form_and_equal_names_are_refused(self, ask, music, tmp_path, monkeypatch):
        ask(music, "--over-time", "--to", tmp_path / "to", "--quiet")
        made = sorted(
            path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*.csv")
        )
        there = sorted(f"{path.relative_to(music).as_posix()}.csv" for path in music.rglob("*.wav"))
        assert made == there
        from stages import predict

        twice = [str(music / label) for label in CLASSES[:2]]
        monkeypatch.setattr(sys, "argv", ["encore predict", *twice, "--over-time"])
        assert "several files are named 00.wav" in line_of(predict.main)


class TestListening:
    def test_blocks_of_any_size_give_the_same_segments(self):
        samples = noise(10_000)
        for length, hop in ((700, 700), (700, 250), (250, 700)):
            wanted = [samples[start : start + length] for start in range(0, len(samples) - length + 1, hop)]
            for block in (1, 97, 5000, 10_000):
                cut = Segments(
                    length, hop, lambda rest, starts, n=length: [rest[i : i + n].copy() for i in starts]
                )
                for first in range(0, len(samples), block):
                    cut.add(samples[first : first + block])
                found = [segment for part in cut.parts for segment in part]
                assert np.array_equal(found, wanted)
                assert cut.longest == len(samples)

    def test_a_copy_goes_its_own_way_and_no_segment_spans_a_leap(self):
        cut = Segments(4, 4, lambda rest, starts: [rest[i : i + 4].tolist() for i in starts])
        cut.add(np.arange(6, dtype=np.float32))
        other = cut.copy()
        other.add(np.arange(6, 8, dtype=np.float32))
        cut.leap()
        cut.add(np.arange(10, 14, dtype=np.float32))
        assert cut.parts == [[[0, 1, 2, 3]], [[10, 11, 12, 13]]]
        assert other.parts == [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]
        assert cut.longest == 6

    def test_the_overview_has_the_envelope_in_a_bounded_number_of_columns(self):
        overview, n_pieces = Overview(RATE_HZ), 3 * MOST // FRAMES
        ramp = np.linspace(-1, 1, n_pieces * FRAMES * HOP_LENGTH, dtype=np.float32)
        for block in np.array_split(ramp, 37):
            overview.add(block)
        low, high, mel, mel_hz, column_s = overview.summary()
        assert MOST <= len(low) == len(high) == mel.shape[1] < 2 * MOST
        assert len(low) * column_s * RATE_HZ == pytest.approx(len(ramp), rel=1 / MOST)
        assert np.allclose(low, np.linspace(-1, 1, len(low) + 1)[:-1], atol=2 / MOST)
        assert (low[1:] >= high[:-1]).all()
        assert len(mel_hz) == len(mel)


def test_files_are_taken_whatever_their_suffix_and_folders_with_all_below(tmp_path):
    (tmp_path / "deep/er").mkdir(parents=True)
    for name in ("a.wav", "deep/b.mp3", "deep/er/c.mid", "deep/.hidden.wav", "deep/notes"):
        (tmp_path / name).touch()
    files, left_out = music_files([str(tmp_path / "deep/notes"), str(tmp_path)])
    assert [file.below for file in files] == ["", "a.wav", "deep/b.mp3", "deep/er/c.mid"]
    assert [file.genre_folder for file in files] == ["", "", "deep", "deep"]
    assert left_out == ["left out 1 files without the suffix of music: no suffix 1"]
    with pytest.raises(EncoreError, match="no such file or folder"):
        music_files([str(tmp_path / "gone")])
