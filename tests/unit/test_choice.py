"""The choice of tracks depends on the seed and their names alone."""

from collections import Counter

import pytest

from stages.core.tables import RawTrack
from stages.sources.choice import choose
from stages.sources.params import SourceParams
from tests.synthetic import line_of

LABELS = {f"{label}.{i:03d}": label for label in ("jazz", "rock", "") for i in range(40)}
ALL = {"classes": None, "tracks_per_class": None, "fraction": 1.0, "seed": 0}


def chosen(labels: dict[str, str] = LABELS, **changes: object) -> list[str]:
    values = {"name": "any", "watch": "x", "watch_metadata": "x", "watch_labels": "x", **ALL, **changes}
    tracks = [
        RawTrack(track_id=track_id, path="", label=label, group="", source="any")
        for track_id, label in labels.items()
    ]
    return [track.track_id for track in choose(tracks, SourceParams.model_validate(values), "the shelf")]


def counts(track_ids: list[str]) -> dict[str, int]:
    return dict(Counter(LABELS[track_id] for track_id in track_ids))


def test_all_tracks_by_default_sorted():
    assert chosen() == sorted(LABELS)


def test_classes_keep_the_unlabelled():
    assert counts(chosen(classes=["rock"])) == {"rock": 40, "": 40}


def test_unknown_class_is_one_line():
    line = line_of(lambda: chosen(classes=["rock", "polka"]))
    assert line == "dataset.classes: no class polka in the shelf; there are: jazz, rock"


@pytest.mark.parametrize(
    ("changes", "each"),
    [
        ({"tracks_per_class": 7}, 7),
        ({"tracks_per_class": 70}, 40),
        ({"fraction": 0.25}, 10),
        ({"fraction": 0.001}, 1),
        ({"fraction": 0.5, "tracks_per_class": 3}, 3),
    ],
)
def test_every_class_gives_its_share(changes, each):
    assert counts(chosen(**changes)) == {"jazz": each, "rock": each, "": each}


def test_larger_choice_contains_the_smaller():
    for small, large in (
        ({"tracks_per_class": 3}, {"tracks_per_class": 9}),
        ({"fraction": 0.1}, {"fraction": 0.6}),
    ):
        assert set(chosen(**small)) < set(chosen(**large))


def test_choice_depends_on_the_seed_not_the_order():
    backwards = dict(reversed(LABELS.items()))
    assert chosen(backwards, tracks_per_class=5) == chosen(tracks_per_class=5)
    assert chosen(seed=1, tracks_per_class=5) != chosen(tracks_per_class=5)


def test_one_more_track_replaces_at_most_one():
    before = set(chosen(tracks_per_class=5))
    after = set(chosen({**LABELS, "rock.999": "rock"}, tracks_per_class=5))
    assert len(before - after) <= 1
    assert after - before <= {"rock.999"}
