"""What is found wrong with a file, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from pydantic import Field

from stages.audio import duplicates
from stages.audio.cached import Heard
from stages.audio.formats import is_mislabelled
from stages.core.params import Params
from stages.core.tables import RawTrack

KeepOrDrop = Literal["keep", "drop"]
GroupDropOrKeep = Literal["group", "drop", "keep"]


class QualityParams(Params):
    """The `quality` section: limits, and what to do with files beyond them.

    A file that cannot be decoded, is empty or too long is always dropped. Of duplicates, `group` keeps all
    and lets none stand on another side of a split than the others, `drop` keeps the first labelled one,
    and `keep` takes no notice.

    Attributes
    ----------
    min_duration_s, max_duration_s : float
        Shorter files are "too short", longer ones are not decoded to their end.
    silence_db : float
        A file whose peak, mixed to mono, is below it (in dB of full scale) is "silent".
    max_clipped : float
        Share of samples at full scale from which on a file is "clipped".
    max_dc_offset : float
        Mean of the samples from which on a file has a "DC offset"; full scale is 1.
    on_too_short, on_silent, on_clipped, on_dc_offset, on_mislabelled, on_known_fault : {'keep', 'drop'}
        Mislabelled is a file whose content is of another type than its name says; known faults come
        with the dataset.
    on_not_finite : {'keep', 'drop'}
        For files with NaN or infinite samples; where kept, these are zero.
    on_duplicate : {'group', 'drop', 'keep'}
        For files with the same samples once they are decoded.
    on_near_duplicate : {'group', 'drop', 'keep'}
        For files with the same recording, encoded, cut or levelled otherwise.
    """

    min_duration_s: float = Field(ge=0)
    max_duration_s: float = Field(gt=0)
    silence_db: float = Field(le=0)
    max_clipped: float = Field(ge=0, le=1)
    max_dc_offset: float = Field(ge=0, le=1)
    on_not_finite: KeepOrDrop
    on_silent: KeepOrDrop
    on_too_short: KeepOrDrop
    on_duplicate: GroupDropOrKeep
    on_near_duplicate: GroupDropOrKeep
    on_clipped: KeepOrDrop
    on_dc_offset: KeepOrDrop
    on_mislabelled: KeepOrDrop
    on_known_fault: KeepOrDrop


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a file.

    Attributes
    ----------
    verdict : str
        In a word or two.
    reason : str
        In a sentence whose subject is the file, with numbers.
    drops : bool
        Whether it drops the file.
    """

    verdict: str
    reason: str
    drops: bool


@dataclass(frozen=True)
class Judgement:
    """What became of a file.

    Attributes
    ----------
    findings : list of Finding
        The gravest first; none: the file is good.
    same_as : int
        The first file with the same recording; its own place if it is the only one.
    recording : int
        The first file that it must stand on one side of a split with; its own place if there is none.
    """

    findings: list[Finding]
    same_as: int
    recording: int

    @property
    def is_kept(self) -> bool:
        """Whether no finding drops the file."""
        return not any(finding.drops for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The gravest finding, one that drops the file before one that does not."""
        order = sorted(self.findings, key=lambda finding: not finding.drops)
        return order[0].verdict if order else "good"


def judge(tracks: Sequence[RawTrack], heard: Sequence[Heard], params: QualityParams) -> list[Judgement]:
    """Judge every file, by itself and among the others.

    Parameters
    ----------
    tracks, heard : sequences of one length
        What was found, and what was heard in it.
    params : QualityParams
    """
    alone = [_alone(track, file, params) for track, file in zip(tracks, heard, strict=True)]
    # what is dropped for its own sake is nobody's duplicate: all silent files are alike
    usable = [i for i, findings in enumerate(alone) if not any(finding.drops for finding in findings)]
    usable.sort(key=lambda i: (not tracks[i].label, i))  # a labelled file is worth more than its copy
    first_of: dict[str, int] = {}
    exact = {i: first_of.setdefault(heard[i].sound.digest, i) for i in usable}
    unlike = [i for i in usable if exact[i] == i]
    pairs = duplicates.near_duplicates([heard[i].fingerprint for i in unlike])
    component = duplicates.groups(len(unlike), pairs)
    near = {i: unlike[component[place]] for place, i in enumerate(unlike)}

    judgements = []
    for i, findings in enumerate(alone):
        if i not in exact:
            judgements.append(Judgement(findings, i, i))
            continue
        copy_of, recording, twins = exact[i], i, []
        if copy_of != i:
            twins.append(_twin("duplicate", "samples", tracks[i], tracks[copy_of], params.on_duplicate))
            recording = copy_of if params.on_duplicate == "group" else i
        if (like := near[copy_of]) != copy_of:
            twins.append(
                _twin("near-duplicate", "recording", tracks[i], tracks[like], params.on_near_duplicate)
            )
            if params.on_near_duplicate == "group":
                recording = like
        judgements.append(Judgement(twins + findings, like, recording))
    return judgements


def _twin(verdict: str, what: str, track: RawTrack, other: RawTrack, rule: GroupDropOrKeep) -> Finding:
    though = f", which is labelled {other.label!r}" if track.label != other.label else ""
    return Finding(verdict, f"has the same {what} as {other.track_id}{though}", rule == "drop")


def _alone(track: RawTrack, heard: Heard, params: QualityParams) -> list[Finding]:
    """What is wrong with a file whatever the others are, the gravest first."""
    sound = heard.sound
    if sound.problem:
        return [Finding(sound.problem, sound.reason, drops=True)]
    silence = 10 ** (params.silence_db / 20)
    checks = [
        (
            sound.not_finite > 0,
            "not finite",
            f"has NaN or infinite samples ({sound.not_finite:.2g} of all)",
            params.on_not_finite,
        ),
        (
            sound.peak < silence,
            "silent",
            f"mixed to mono, has no sample over {params.silence_db:g} dB of full scale",
            params.on_silent,
        ),
        (
            sound.duration_s < params.min_duration_s,
            "too short",
            f"lasts {sound.duration_s:.3g} s, under quality.min_duration_s, {params.min_duration_s:g} s",
            params.on_too_short,
        ),
        (
            bool(track.fault),
            "known fault",
            f"is known to be faulty: {track.fault}",
            params.on_known_fault,
        ),
        (
            sound.clipped > params.max_clipped,
            "clipped",
            f"has {sound.clipped:.2%} of its samples at full scale",
            params.on_clipped,
        ),
        (
            abs(sound.dc_offset) > params.max_dc_offset,
            "DC offset",
            f"has a mean of {sound.dc_offset:+.3f} of full scale",
            params.on_dc_offset,
        ),
        (
            is_mislabelled(PurePath(track.path), sound.encoding),
            "mislabelled",
            f"is {sound.encoding} by its content",
            params.on_mislabelled,
        ),
    ]
    return [Finding(verdict, reason, rule == "drop") for holds, verdict, reason, rule in checks if holds]
