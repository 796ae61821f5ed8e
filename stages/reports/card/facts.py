"""All that a model card tells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.core.tables import Assignment, Confused, Novelty, Quality, SegmentedTrack
from stages.evaluation.metrics import ClassScores
from stages.splitting.schemes import SPLITS, count_in_several_splits

if TYPE_CHECKING:
    from stages.training.description import Description


@dataclass(frozen=True)
class Facts:
    """What is known of a model, its music and its scores.

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
        By side, or "baseline" for that on test, and level: what `stages.evaluation.metrics.score_both` gives.
    classes : sequence of ClassScores
        Of test tracks.
    confused : sequence of Confused
    open_set : mapping
        What `stages.evaluation.open_set.score` gives.
    novelties : sequence of Novelty
        The most novel first.
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
    classes: Sequence[ClassScores]
    confused: Sequence[Confused]
    open_set: Mapping[str, float]
    novelties: Sequence[Novelty]

    @property
    def segment_s(self) -> float:
        """Length of a segment."""
        feature = self.description.feature
        return feature.segment_length / feature.sample_rate_hz

    @property
    def judged(self) -> list[Assignment]:
        """The tracks of train, valid and test."""
        return [row for row in self.split if row.split in SPLITS]

    def side(self, side: str) -> list[Assignment]:
        """The tracks of one side."""
        return [row for row in self.split if row.split == side]

    def n_segments(self, side: str) -> int:
        """How many segments the tracks of a side have."""
        per_track = {track.track_id: track.n_segments for track in self.tracks}
        return sum(per_track[row.track_id] for row in self.side(side))

    def groups(self, rows: Iterable[Assignment]) -> list[str]:
        """The group of each of some tracks; empty: unknown."""
        group_of = {track.track_id: track.group for track in self.tracks}
        return [group_of[row.track_id] for row in rows]

    def recordings(self, rows: Iterable[Assignment]) -> list[str]:
        """The recording of each of some tracks, whatever `quality` says is to be done about copies."""
        same_as = {row.track_id: row.same_as for row in self.quality}
        return [same_as[row.track_id] or row.track_id for row in rows]

    def n_on_two_sides(self, names: Sequence[str]) -> int:
        """How many of the groups, or recordings, of `judged` stand on two sides."""
        return count_in_several_splits(names, [row.split for row in self.judged])
