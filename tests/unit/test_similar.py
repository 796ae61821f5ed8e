"""Similar music: the index is what the model hears, the answers are in the order of its cosines."""

import json
import os
import re
import shutil
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from stages import similar
from stages.core.tables import RawTrack, read_rows, write_rows
from stages.inference import embedding, track_index
from stages.inference.embedding import Embedded, Method, embed_all
from stages.inference.listening import Inputs
from stages.inference.track_index import Index, Track, new_index
from stages.parallel.processes import Lost
from stages.training.trained import TrainedModel, build
from tests.synthetic import CLASSES, RATE_HZ, description, line_of, noise, tone, write_music, write_params

pytestmark = pytest.mark.slow

COPY, DAMAGED, SHORT = "jazz/copy.flac", "rock/damaged.mp3", "rock/short.wav"
QUERY = "music/jazz/00.wav"


def write_model(folder: Path, seed: int = 0) -> TrainedModel:
    """Write a model that was not trained: its embeddings are as good as any for a test."""
    given = Method.of_feature("mfcc").input.model_copy(update={"feature": "mfcc"})
    about = description(
        kwargs={"input_shape": (13, 32), "n_classes": 3, "hidden": [16], "dropout": 0.0, "l2": 0.0},
        input=given,
    )
    torch.manual_seed(seed)
    trained = TrainedModel(about, build(about))
    folder.mkdir(parents=True)
    trained.save(folder)
    return TrainedModel.load(folder)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command; return its exit status, and what it prints."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["encore similar", *words])
        with pytest.raises(SystemExit) as ended:
            similar.main()
    return (ended.value.code or 0, *capsys.readouterr())


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict]:
    status, out, _ = run(capsys, *words, "--json")
    assert status == 0
    return json.loads(out)["tracks"]


def line(*words: str) -> str:
    def command() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["encore similar", *words])
            similar.main()

    return line_of(command)


def interrupted() -> np.ndarray:
    raise KeyboardInterrupt


def unit_vectors(place: Path = similar.PLACE) -> dict[str, np.ndarray]:
    index = Index(place)
    (vectors,) = index.blocks()
    return {index.track(row).path: vector for row, vector in enumerate(vectors)}


@pytest.fixture(scope="module")
def indexed(module_workspace, fork_server):
    """A model, music in three folders with a quieter copy, a damaged and a short file, and its index."""
    write_params()
    music = write_music(module_workspace / "music", per_class=4)
    samples, _ = soundfile.read(music / "jazz/00.wav")
    soundfile.write(music / COPY, samples * 0.7, RATE_HZ)
    (music / DAMAGED).write_bytes(b"no music")
    soundfile.write(music / SHORT, noise(RATE_HZ // 2), RATE_HZ)
    model = write_model(module_workspace / "data/model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["encore similar", "--index", "music", "--artists", r"/(?P<n>\w+)\."])
        with pytest.raises(SystemExit) as ended:
            similar.main()
    assert ended.value.code == 3
    return model


@pytest.mark.usefixtures("indexed")
class TestIndex:
    """What is in it, and what it costs to make it again."""

    def test_a_vector_is_the_mean_of_what_the_models_last_layer_takes(self, indexed):
        files = [(path, path.name) for path in sorted(Path("music").rglob("0*.wav"))]
        heard = list(embed_all(files, Method.of_model(Path("data/model"), None), 1.0, "listen"))
        inputs = Inputs(indexed.description.input)
        for (path, _), one in zip(files, heard, strict=True):
            samples = soundfile.read(path, dtype="float32")[0]
            answer = indexed.outputs(inputs.of(samples, [0, RATE_HZ, 2 * RATE_HZ]))
            np.testing.assert_allclose(one.vector, answer.embedding.mean(axis=0), rtol=1e-4, atol=1e-5)
            assert one.genre == CLASSES[answer.probability.mean(axis=0).argmax()]
            assert one.duration_s == 3.0
        x = np.stack([one.vector for one in heard])
        everything = np.vstack([x, self.of(COPY)])
        std = everything.std(axis=0)
        unit = (x - everything.mean(axis=0)) / np.where(std > 1e-6, std, 1)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        found = unit_vectors()
        assert len(found) == 13
        for (path, _), wanted in zip(files, unit, strict=True):
            vector = found[path.relative_to("music").as_posix()]
            np.testing.assert_allclose(vector, wanted, atol=1e-3)

    def of(self, path: str) -> np.ndarray:
        (one,) = embed_all(
            [(Path("music", path), path)], Method.of_model(Path("data/model"), None), 1.0, "listen"
        )
        return one.vector

    def test_files_that_cannot_be_used_are_named_and_the_others_go_on(self, capsys):
        status, out, err = run(capsys, "--index", "music", "--at", "again")
        assert status == 3
        lines = err.splitlines()
        assert re.match(r"rock/damaged\.mp3 cannot be decoded", lines[0])
        assert re.match(r"rock/short\.wav lasts 0\.5 s, less than a segment of 1 s", lines[1])
        assert lines[2] == "again has 13 tracks of " + lines[2].partition(" of ")[2]
        assert lines[3] == "2 of 15 files could not be used"
        assert out == ""
        status, out, _ = run(capsys, "--index", "music", "--at", "again", "--json")
        assert status == 3
        assert json.loads(out)["n_tracks"] == 13
        assert len(json.loads(out)["left_out"]) == 2

    def test_only_a_new_file_is_heard_and_one_that_is_gone_vanishes(self, capsys, monkeypatch, tmp_path):
        music = shutil.copytree(
            "music", tmp_path / "music", ignore=shutil.ignore_patterns("damaged*", "short*")
        )
        assert run(capsys, "--index", str(music), "--at", "more")[0] == 0
        entries = set(Path(".encore/entries").rglob("*.npz"))
        soundfile.write(music / "rock/new.wav", tone(2 * RATE_HZ, 555), RATE_HZ)
        (music / "rock/00.wav").unlink()
        assert run(capsys, "--index", str(music), "--at", "more")[0] == 0
        assert len(set(Path(".encore/entries").rglob("*.npz")) - entries) == 1
        paths = set(unit_vectors(Path("more")))
        assert len(paths) == 13
        assert "rock/new.wav" in paths
        assert "rock/00.wav" not in paths

    def test_a_file_that_can_be_read_in_part_is_in_it_and_said(self, capsys, tmp_path):
        content = Path("music/jazz/03.wav").read_bytes()
        (tmp_path / "music").mkdir()
        (tmp_path / "music/part.wav").write_bytes(content[: len(content) * 2 // 3])
        status, _, err = run(capsys, "--index", str(tmp_path / "music"), "--at", str(tmp_path / "index"))
        assert status == 0
        assert "read only in part: part.wav\n" in err

    def test_a_name_that_is_not_utf8_is_one_of_the_lost(self, capsys, tmp_path):
        soundfile.write(tmp_path / "a.wav", noise(2 * RATE_HZ), RATE_HZ)
        odd = os.fsdecode(b"caf\xe9.wav")
        shutil.copy("music/jazz/00.wav", tmp_path / odd)
        status, _, err = run(capsys, "--index", str(tmp_path), "--at", "odd")
        assert status == 3
        assert "name is not UTF-8; rename it" in err
        assert "1 of 2 files could not be used" in err
        assert [track["path"] for track in asked(capsys, str(tmp_path / odd), "--at", "odd")] == [
            str(tmp_path / "a.wav")
        ]

    def test_it_is_the_same_without_the_work_cache(self, capsys):
        before = {path: vector.tobytes() for path, vector in unit_vectors().items()}
        shutil.rmtree(".encore/entries")
        run(capsys, "--index", "music", "--at", "anew")
        assert {path: vector.tobytes() for path, vector in unit_vectors(Path("anew")).items()} == before

    def test_a_file_that_kills_its_process_is_one_of_the_lost(self, monkeypatch):
        lost = Lost("kills the process that reads it (SIGSEGV)")
        monkeypatch.setattr(embedding, "isolated_map", lambda *_: iter([lost]))
        method = Method.of_model(Path("data/model"), None)
        assert [*embed_all([(Path("a"), "a.wav")], method, 1.0, "")] == [f"a.wav {lost.reason}"]

    def test_nothing_usable_makes_no_index_and_leaves_the_old_one(self, tmp_path):
        (tmp_path / "bad.wav").write_bytes(b"no music")
        before = Path("data/similar/vectors.npy").read_bytes()
        assert "none of the files can be used" in line("--index", str(tmp_path))
        assert Path("data/similar/vectors.npy").read_bytes() == before
        assert [*Path("data").glob(".similar*")] == []

    @pytest.mark.parametrize("place", ["music", "music/rock/index", "data/model", "data/raw/music/x", "."])
    def test_it_is_never_made_among_music_or_other_files(self, place):
        before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        line("--index", "music", "--at", place)
        assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["gone"], "no such file"),
            (["params.yaml"], "is a file"),
            (["music", "--artists", "("], "no regular expression"),
            (["music", "--artists", "jazz"], "has no named group"),
            (["music", "--feature", "mfc"], "did you mean mfcc"),
            (["music", "--model", "gone"], "has no model.json"),
        ],
    )
    def test_a_slip_is_one_line(self, words, message):
        assert message in line("--index", *words)


@pytest.mark.usefixtures("indexed")
class TestAnswers:
    """The tracks that are most like a file, or several."""

    def test_they_are_in_the_order_of_the_cosines_without_the_file_itself(self, capsys):
        vectors = unit_vectors()
        found = asked(capsys, QUERY, "-k", "20")
        cosine = {path: float(vector @ vectors["jazz/00.wav"]) for path, vector in vectors.items()}
        del cosine["jazz/00.wav"]
        root = Path("music").absolute()
        assert [one["path"] for one in found] == [
            str(root / path) for path in sorted(cosine, key=lambda path: -cosine[path])
        ]
        assert [one["similarity"] for one in found] == pytest.approx(
            sorted(cosine.values(), reverse=True), abs=1e-5
        )
        assert [one["rank"] for one in found] == [*range(1, 13)]
        assert asked(capsys, QUERY, "-k", "3") == found[:3]

    def test_another_copy_of_the_recording_is_marked_and_no_other_track(self, capsys):
        found = asked(capsys, QUERY, "-k", "20")
        assert [one["path"].endswith(COPY) for one in found] == [one["same_recording"] for one in found]
        assert sum(one["same_recording"] for one in found) == 1
        _, out, _ = run(capsys, QUERY, "-k", "20")
        assert re.search(r"jazz +jazz/copy\.flac  \[same recording\]\n", out)

    def test_several_files_are_sought_by_the_mean_of_their_vectors(self, capsys):
        vectors = unit_vectors()
        names = ["jazz/00.wav", "rock/01.wav", "rock/02.wav"]
        mean = np.mean([vectors[name] for name in names], axis=0)
        mean /= np.linalg.norm(mean)
        rest = {path: float(vector @ mean) for path, vector in vectors.items() if path not in names}
        found = asked(capsys, *(f"music/{name}" for name in names), "-k", "4")
        best = sorted(rest, key=lambda path: -rest[path])[:4]
        assert [Path(one["path"]).relative_to(Path("music").absolute()).as_posix() for one in found] == best

    def test_genre_and_artist_are_those_of_the_index(self, capsys):
        same = asked(capsys, QUERY, "-k", "20", "--same-genre")
        assert {one["genre"] for one in same} == {"jazz"}
        assert len(same) == 4
        others = asked(capsys, QUERY, "-k", "20", "--other-artists")
        assert len(others) == 10  # without 00 of the other genres
        assert "00" not in {one["artist"] for one in others}
        both = asked(capsys, QUERY, "-k", "20", "--other-artists", "--same-genre")
        assert {Path(one["path"]).name for one in both} == {"01.wav", "02.wav", "03.wav", "copy.flac"}

    def test_a_file_from_elsewhere_has_the_genre_that_the_model_predicts(self, capsys, tmp_path):
        path = tmp_path / "new.wav"
        soundfile.write(path, noise(2 * RATE_HZ, 77), RATE_HZ)
        (one,) = embed_all([(path, "new")], Method.of_model(Path("data/model"), None), 1.0, "listen")
        found = asked(capsys, str(path), "-k", "20", "--same-genre")
        assert {one["genre"] for one in found} <= {one.genre}
        assert "artist of" in line(str(path), "--other-artists")
        shutil.copy("music/jazz/01.wav", path)  # by its waveform it is known
        assert {one["genre"] for one in asked(capsys, str(path), "--same-genre")} == {"jazz"}
        assert "01" not in {one["artist"] for one in asked(capsys, str(path), "-k", "20", "--other-artists")}

    def test_a_file_that_cannot_be_used_is_named_and_the_others_are_asked_for(self, capsys):
        status, out, err = run(capsys, QUERY, f"music/{DAMAGED}", "-k", "2", "--quiet")
        assert status == 3
        assert err.startswith(f"music/{DAMAGED} cannot be decoded")
        assert len(out.splitlines()) == 3
        assert "cannot be decoded" in line(f"music/{DAMAGED}")

    @pytest.mark.parametrize(
        "words",
        [
            [],
            [QUERY, "--index", "music"],
            [QUERY, "-k", "0"],
            [QUERY, "--feature", "mfcc"],
            ["--index", "music", "--same-genre"],
            ["--index", "music", "--feature", "mfcc", "--model", "data/model"],
        ],
    )
    def test_wrong_usage_is_status_2(self, capsys, words):
        assert run(capsys, *words)[0] == 2


@pytest.mark.usefixtures("indexed")
class TestOtherModels:
    """An index belongs to one model, wherever that is."""

    def test_another_model_is_refused_and_a_copy_of_it_is_not(self, capsys, tmp_path):
        write_model(tmp_path / "other", seed=1)
        assert re.search(
            r"data/similar was made by .*, not by ", line(QUERY, "--model", str(tmp_path / "other"))
        )
        shutil.copytree("data/model", tmp_path / "same")
        assert asked(capsys, QUERY, "--model", str(tmp_path / "same")) == asked(capsys, QUERY)

    def test_a_model_that_was_trained_anew_in_its_place_is_refused(self, tmp_path):
        shutil.copytree("data/model", tmp_path / "model")
        shutil.rmtree("data/model")
        try:
            assert "another model" in line(QUERY)
            write_model(Path("data/model"), seed=1)
            assert "another model" in line(QUERY)
            shutil.rmtree("data/model")
        finally:
            shutil.copytree(tmp_path / "model", "data/model")

    def test_a_feature_needs_no_model_and_knows_artists_of_the_dataset(self, capsys):
        tracks = []
        for path in sorted(Path("music").rglob("0*.wav")):
            below = path.relative_to("music").as_posix()
            copy = Path("data/raw/music", below)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
            about = RawTrack(
                track_id=below, path=below, label=path.parent.name, group=path.stem, source="folder"
            )
            tracks.append(about if path.parent.name != "rock" else replace(about, label=""))
        write_rows(Path("data/raw/tracks.csv"), tracks, RawTrack)
        words = ("--at", "of_feature")
        assert run(capsys, "--index", "dataset", "--feature", "mfcc", *words)[0] == 0
        found = asked(capsys, "data/raw/music/jazz/02.wav", "-k", "20", "--other-artists", *words)
        assert len(found) == 9
        assert {one["genre"] for one in found} == {"blues", "jazz", ""}
        assert "genre of data/raw/music/rock/02.wav is not known" in line(
            "data/raw/music/rock/02.wav", "--same-genre", *words
        )
        assert "was made by statistics of mfcc" in line(QUERY, "--model", "data/model", *words)
        assert len(read_rows(Path("data/raw/tracks.csv"), RawTrack)) == 12


class TestFiles:
    """The files of an index."""

    def make(self, place: Path, n: int = 50, size: int = 6) -> np.ndarray:
        vectors = np.random.default_rng(0).normal(3, 2, (n, size)).astype(np.float32)
        with new_index(place, {"folder": "/music"}) as index:
            for row, vector in enumerate(vectors):
                track = Track(f"{row}", ["", "rock"][row % 2], "jazz", "", f"{row}", 1.5)
                index.add(track, vector, np.arange(row, dtype=np.uint32))
        return vectors

    @pytest.mark.parametrize("block", [4, 24 * 7, 1 << 20])
    def test_blocks_change_nothing(self, tmp_path, monkeypatch, block):
        monkeypatch.setattr(track_index, "BLOCK", block)
        vectors = self.make(tmp_path / "index")
        unit = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        index = Index(tmp_path / "index")
        np.testing.assert_allclose(np.concatenate([*index.blocks()]), unit, atol=1e-6)
        np.testing.assert_allclose(np.load(tmp_path / "index/vectors.npy"), unit, atol=1e-6)
        allowed = np.arange(50) % 3 > 0
        wanted = np.argsort(np.where(allowed, -(unit @ unit[0]), np.inf), kind="stable")[:5]
        assert [
            row for row, _ in index.nearest(index.scale.unit(vectors[:1])[0], 5, allowed)
        ] == wanted.tolist()
        assert index.track(7) == Track("7", "rock", "jazz", "", "7", 1.5)
        assert index.track(8).genre == "jazz"
        assert index.fingerprint(9).tolist() == [*range(9)]
        assert sorted(index.rows("genre", ["jazz"])) == [*range(0, 50, 2)]
        assert index.rows("path", ["7", "no", "3"]).tolist() in ([7, 3], [3, 7])

    def test_a_method_that_is_damaged_is_one_line(self, tmp_path):
        self.make(tmp_path / "index")
        assert "the index is damaged" in line("a.wav", "--at", str(tmp_path / "index"))

    def test_a_link_to_an_index_stays_a_link(self, tmp_path):
        self.make(tmp_path / "index")
        (tmp_path / "link").symlink_to("index")
        (tmp_path / "index/index.json").write_text("{}")
        self.make(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert Index(tmp_path / "index").n_tracks == 50

    def test_other_files_beside_an_index_are_never_lost(self, tmp_path):
        self.make(tmp_path)
        (tmp_path / "notes.txt").touch()
        assert "more than that; name a new folder" in line_of(lambda: self.make(tmp_path))
        assert (tmp_path / "notes.txt").exists()

    def test_two_processes_at_once_end_in_one_line(self, tmp_path):
        def twice() -> None:
            with new_index(tmp_path / "index", {"folder": ""}) as index:
                self.make(tmp_path / "index")
                index.add(Track("a", "", "", "", "", 1.0), np.ones(3, np.float32), np.ones(1, np.uint32))

        assert "another process makes it, too" in line_of(twice)
        assert Index(tmp_path / "index").n_tracks == 50

    def test_a_damaged_header_of_the_vectors_is_one_line(self, tmp_path):
        self.make(tmp_path)
        content = bytearray((tmp_path / "vectors.npy").read_bytes())
        content[content.index(b"}")] = ord("{")
        (tmp_path / "vectors.npy").write_bytes(content)
        assert "is damaged" in line_of(lambda: Index(tmp_path))

    @pytest.mark.parametrize("damage", ["vectors.npy", "index.json", "tracks.db", "all"])
    def test_damage_is_one_line(self, tmp_path, damage):
        place = tmp_path / "index"
        self.make(place)
        if damage == "all":
            shutil.rmtree(place)
        elif damage == "tracks.db":
            (place / damage).write_bytes(b"no database" * 999)
        else:
            (place / damage).write_bytes((place / damage).read_bytes()[:-50])

        def use() -> None:
            index = Index(place)
            index.track(3)

        assert re.search(r"no index; .* makes one|damaged.*make it again", line_of(use))

    def test_an_error_leaves_the_index_as_it_was(self, tmp_path):
        self.make(tmp_path / "index")
        before = {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()}
        track = Track("a", "", "", "", "", 1.0)
        with pytest.raises(KeyboardInterrupt), new_index(tmp_path / "index", {}) as index:
            index.add(track, np.ones(3, np.float32), interrupted())
        assert {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()} == before
        assert [path.name for path in tmp_path.iterdir()] == ["index"]
        with sqlite3.connect(tmp_path / "index/tracks.db") as database:
            assert database.execute("SELECT count(*) FROM tracks").fetchone() == (50,)


def test_embedded_of_the_cache_equals_what_was_computed(workspace, fork_server):
    write_params()
    soundfile.write("a.wav", noise(2 * RATE_HZ), RATE_HZ)
    method = Method.of_feature("mfcc")
    first, again = (next(iter(embed_all([(Path("a.wav"), "a")], method, 1.0, ""))) for _ in range(2))
    assert isinstance(first, Embedded)
    assert vars(first).keys() == vars(again).keys()
    for name, value in vars(first).items():
        assert np.array_equal(value, getattr(again, name)), name
    assert Method.of_document(json.loads(json.dumps(method.document))).is_like(method)
