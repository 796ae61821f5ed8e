"""The segments of one split, and no leak."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.core.errors import EncoreError
from stages.core.tables import Assignment
from stages.splitting import examples
from stages.storage.feature_file import Features
from tests.synthetic import edited_features, line_of, write_features, write_split


@pytest.fixture
def _features(workspace):
    write_features({"train": 3, "valid": 1, "test": 2}, segments=4)


@pytest.mark.usefixtures("_features")
class TestSplits:
    """What `load` gives for each split."""

    def test_a_split_has_all_segments_of_its_tracks_and_no_others(self):
        assignments = examples.read_split()
        with Features(examples.FEATURES) as features:
            splits = {
                split: examples.load(features, "mfcc", assignments, split)
                for split in ("train", "valid", "test")
            }
            everything = features.read("mfcc", np.arange(len(features.label)))
            values = {split: data.read() for split, data in splits.items()}
        assert {split: len(data.label) for split, data in splits.items()} == {
            "train": 36,
            "valid": 12,
            "test": 24,
        }
        for split, data in splits.items():
            assert all(f"/{split}-" in track_id for track_id in data.track_id)
            assert values[split].dtype == np.float32
            assert data.label.dtype == np.int64
            assert set(data.label.tolist()) == {0, 1, 2}
            assert len(values[split]) == len(data) == len(data.label) == len(data.track_id)
        assert sum(len(x) for x in values.values()) == len(everything)
        found = {segment.tobytes() for x in values.values() for segment in x}
        assert found == {segment.tobytes() for segment in everything}

    def test_some_segments_equal_those_of_all(self):
        with Features(examples.FEATURES) as features:
            data = examples.load(features, "mfcc", examples.read_split(), "train")
            everything = data.read()
            some = np.array([0, 3, 17, 35])
            assert np.array_equal(data.read(some), everything[some])
            assert np.array_equal(data.read(slice(30, 40)), everything[30:])
            assert data.read(slice(1)).shape == (1, 13, 16)

    @pytest.mark.parametrize(
        ("size", "wanted"), [(1, [1] * 12), (5, [5, 5, 2]), (6, [6, 6]), (12, [12]), (256, [12])]
    )
    def test_blocks_are_all_segments_in_turn(self, monkeypatch, size, wanted):
        monkeypatch.setattr(examples, "BLOCK", size)
        with Features(examples.FEATURES) as features:
            data = examples.load(features, "mfcc", examples.read_split(), "valid")
            blocks = list(data.blocks())
            assert [len(block) for block in blocks] == wanted
            assert np.array_equal(np.concatenate(blocks), data.read())

    def test_an_unknown_feature_is_refused_with_those_available(self):
        with Features(examples.FEATURES) as features, pytest.raises(EncoreError, match="chroma") as refused:
            examples.assert_there(features, "chroma", "model.feature")
        assert "model.feature is 'chroma'" in str(refused.value)
        assert "mfcc" in str(refused.value)
        assert "features.include" in str(refused.value)

    def test_an_empty_split_is_refused(self):
        assignments = [row for row in examples.read_split() if row.split != "valid"]
        with (
            Features(examples.FEATURES) as features,
            pytest.raises(EncoreError, match="no track is in valid"),
        ):
            examples.load(features, "mfcc", assignments, "valid")

    def test_a_track_without_segments_is_refused(self):
        assignments = [
            *examples.read_split(),
            Assignment("jazz/lost.wav", "jazz", "jazz/lost.wav", "test", -1),
        ]
        with Features(examples.FEATURES) as features, pytest.raises(EncoreError, match=r"jazz/lost\.wav"):
            examples.load(features, "mfcc", assignments, "test")

    def test_excluded_and_unlabelled_tracks_are_in_no_split(self):
        rows = examples.read_split()
        write_split([*rows[1:], Assignment(rows[0].track_id, rows[0].label, rows[0].unit, "excluded", -1)])
        with Features(examples.FEATURES) as features:
            data = examples.load(features, "mfcc", examples.read_split(), "train")
        assert rows[0].track_id not in data.track_id


class TestVariants:
    """What `load` gives with variants, which belong to the training split alone."""

    NAMES = ("pitch_shift=2.0", "time_stretch=0.9")

    @pytest.fixture(autouse=True)
    def _with_variants(self, workspace):
        write_features({"train": 3, "valid": 1, "test": 2}, segments=4, variants=self.NAMES)

    def test_variants_are_read_only_if_asked_for(self):
        assignments = examples.read_split()
        with Features(examples.FEATURES) as features:
            before = {
                split: examples.load(features, "mfcc", assignments, split).read()
                for split in ("train", "valid", "test")
            }
        write_features({"train": 3, "valid": 1, "test": 2}, segments=4)
        with Features(examples.FEATURES) as features:
            for split, values in before.items():
                assert np.array_equal(examples.load(features, "mfcc", assignments, split).read(), values)

    def test_originals_come_first_then_each_variant_of_them(self):
        assignments = examples.read_split()
        with Features(examples.FEATURES) as features:
            originals = examples.load(features, "mfcc", assignments, "train")
            data = examples.load(features, "mfcc", assignments, "train", self.NAMES)
            n = len(originals)
            assert len(data) == len(data.label) == len(data.track_id) == 3 * n
            x = data.read()
            assert np.array_equal(x[:n], originals.read())
            for number in range(3):
                part = slice(number * n, (number + 1) * n)
                assert np.array_equal(data.label[part], originals.label)
                assert np.array_equal(data.track_id[part], originals.track_id)
                assert np.array_equal(data.read(part), x[part])
            assert np.array_equal(np.concatenate(list(data.blocks())), x)
        with h5py.File(examples.FEATURES) as file:
            rows = [i for i, name in enumerate(file["track_id"].asstr()[:]) if "/train-" in name]
            for number, name in enumerate(self.NAMES, start=1):
                assert np.array_equal(x[number * n : (number + 1) * n], file[f"variants/{name}/mfcc"][rows])

    def test_variants_of_other_splits_are_not_read(self):
        with edited_features() as file:
            elsewhere = [i for i, name in enumerate(file["track_id"].asstr()[:]) if "/train-" not in name]
            for name in self.NAMES:
                for row in elsewhere:
                    file[f"variants/{name}/mfcc"][row] = np.nan
        with Features(examples.FEATURES) as features:
            data = examples.load(features, "mfcc", examples.read_split(), "train", self.NAMES)
            assert np.isfinite(data.read()).all()

    @pytest.mark.parametrize("split", ["valid", "test"])
    def test_other_splits_are_refused_with_variants(self, split):
        assignments = examples.read_split()
        with (
            Features(examples.FEATURES) as features,
            pytest.raises(ValueError, match=f"{split} is evaluated"),
        ):
            examples.load(features, "mfcc", assignments, split, self.NAMES[:1])


def test_a_track_in_two_splits_is_refused(workspace):
    write_split([Assignment("a", "x", "a", "train", -1), Assignment("a", "x", "b", "test", -1)])
    assert "'a' is in both train and test" in line_of(examples.read_split)


def test_a_group_in_two_splits_is_refused(workspace):
    write_split(
        [Assignment("a", "x", "Bob Marley", "train", -1), Assignment("b", "x", "Bob Marley", "valid", -1)]
    )
    assert "'Bob Marley' is in both train and valid" in line_of(examples.read_split)
    assert not Path("data/features").exists()
