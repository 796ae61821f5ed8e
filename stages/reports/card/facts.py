"""All that a model card is made from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.audio.formats import MIDI
from stages.core.tables import Assignment, Confused, Novelty, Quality, SegmentedTrack
from stages.evaluation.metrics import ClassScores
from stages.evaluation.retrieval import Retrieval
from stages.reports.card.markup import counted
from stages.splitting.schemes import SPLITS, count_in_several_splits

if TYPE_CHECKING:
    from stages.training.description import Description


@dataclass(frozen=True)
class Facts:
    """What is known about a model, its music and its scores.

    Attributes
    ----------
    description : Description
        Of the model.
    n_parameters : int
    n_epochs : int
        How many were trained.
    source : mapping
        name, licence, citation and caveat of the music.
    quality : sequence of Quality
        Every file that was found.
    tracks : sequence of SegmentedTrack
        Every usable one.
    split : sequence of Assignment
        Every one with a segment.
    scheme : mapping
        The `split` section of params.yaml.
    scores : mapping
        By split, or "baseline" for that on test, and level (track or segment).
    minus_baseline : mapping
        What `stages.evaluation.metrics.compare` gives for the model and the baseline on test tracks.
    n_units : int
        How many independent units test has: groups where they are known, else recordings.
    classes : sequence of ClassScores
        Of test tracks.
    confused : sequence of Confused
    open_set : mapping
        What `stages.evaluation.open_set.score` gives.
    novelties : sequence of Novelty
        The most novel first.
    retrieved : sequence of Retrieval
    """

    description: "Description"
    n_parameters: int
    n_epochs: int
    source: Mapping[str, str]
    quality: Sequence[Quality]
    tracks: Sequence[SegmentedTrack]
    split: Sequence[Assignment]
    scheme: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    minus_baseline: Mapping[str, float]
    n_units: int
    classes: Sequence[ClassScores]
    confused: Sequence[Confused]
    open_set: Mapping[str, float]
    novelties: Sequence[Novelty]
    retrieved: Sequence[Retrieval]

    @property
    def segment_s(self) -> float:
        """Length of a segment."""
        given = self.description.input
        return given.segment_length / given.sample_rate_hz

    @property
    def has_variants(self) -> bool:
        """Whether variants of the music were added to the training segments."""
        return bool(self.description.recipe.train.variants and self.description.input.variants)

    @property
    def evaluated(self) -> list[Assignment]:
        """The tracks of train, valid and test."""
        return [row for row in self.split if row.split in SPLITS]

    @property
    def units(self) -> str:
        """What the intervals take for independent, and how many of them: ``15 groups``."""
        have_group = [bool(group) for group in self.groups(self.of("test"))]
        if any(have_group) and not all(have_group):
            return f"{self.n_units:,} groups and recordings"
        return counted(self.n_units, "group" if all(have_group) else "recording")

    @property
    def n_midi(self) -> int:
        """How many of the evaluated tracks were rendered from MIDI."""
        evaluated = {row.track_id for row in self.evaluated}
        return sum(row.encoding == MIDI and row.track_id in evaluated for row in self.quality)

    @property
    def n_with_group(self) -> int:
        """How many of the evaluated tracks have a known group."""
        return sum(map(bool, self.groups(self.evaluated)))

    @property
    def n_groups(self) -> int:
        """How many different groups the evaluated tracks have."""
        return len(set(self.groups(self.evaluated)) - {""})

    @property
    def n_recordings(self) -> int:
        """How many different recordings the evaluated tracks have."""
        return len(set(self.recordings(self.evaluated)))

    @property
    def n_shared_groups(self) -> int:
        """How many groups are in more than one split."""
        return self._n_shared(self.groups(self.evaluated))

    @property
    def n_shared_recordings(self) -> int:
        """How many recordings are in more than one split."""
        return self._n_shared(self.recordings(self.evaluated))

    @property
    def unused(self) -> Counter[str]:
        """Kept files that are in no split, by reason."""
        n = Counter(row.split for row in self.split)
        too_short = sum(track.n_segments == 0 for track in self.tracks)
        return +Counter(
            {
                "of classes held out as unknown": n["unknown"],
                "unlabelled": n["unlabelled"],
                "excluded by the split": n["excluded"],
                "shorter than a segment": too_short,
            }
        )

    def findings(self, outcome: str) -> Counter[str]:
        """Return what is wrong with the files that were kept, or dropped."""
        rows = (row for row in self.quality if row.outcome == outcome)
        return Counter(row.verdict for row in rows if row.verdict != "good")

    def of(self, split: str) -> list[Assignment]:
        """Return the tracks of a split."""
        return [row for row in self.split if row.split == split]

    def n_segments(self, split: str) -> int:
        """Return how many segments the tracks of a split have."""
        per_track = {track.track_id: track.n_segments for track in self.tracks}
        return sum(per_track[row.track_id] for row in self.of(split))

    def groups(self, rows: Iterable[Assignment]) -> list[str]:
        """Return the group of each of some tracks; empty: unknown."""
        group_of = {track.track_id: track.group for track in self.tracks}
        return [group_of[row.track_id] for row in rows]

    def recordings(self, rows: Iterable[Assignment]) -> list[str]:
        """Return the recording of each of some tracks, whatever `quality` does about copies."""
        same_as = {row.track_id: row.same_as for row in self.quality}
        return [same_as[row.track_id] or row.track_id for row in rows]

    def _n_shared(self, names: Sequence[str]) -> int:
        return count_in_several_splits(names, [row.split for row in self.evaluated])
