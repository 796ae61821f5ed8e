"""Find what is wrong with a file, and decide whether it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from pydantic import Field

from stages.audio import duplicates
from stages.audio.cached import CachedAudio
from stages.audio.formats import is_mislabelled
from stages.core.params import Params
from stages.core.tables import RawTrack

KeepOrDrop = Literal["keep", "drop"]
GroupDropOrKeep = Literal["group", "drop", "keep"]


class QualityParams(Params):
    """The `quality` section: limits, and what to do with files beyond them.

    A file that cannot be decoded, is empty or too long is always dropped. Of duplicates, `group` keeps all
    and puts them into the same split, `drop` keeps the first labelled one, and `keep` treats them as
    different files.

    Attributes
    ----------
    min_duration_s, max_duration_s : float
        Shorter files are "too short", longer ones are not decoded to their end.
    silence_db : float
        A file whose peak, mixed to mono, is below it (in dB of full scale) is "silent".
    max_clipped : float
        A file with a larger share of samples at full scale is "clipped".
    max_dc_offset : float
        A file with a larger mean of its samples has a "DC offset"; full scale is 1.
    on_too_short, on_silent, on_clipped, on_dc_offset, on_mislabelled, on_known_fault : {'keep', 'drop'}
        A mislabelled file has content of another type than its name says; the dataset publishes the
        known faults.
    on_cut_short : {'keep', 'drop'}
        For files that should last over 50 ms longer than what can be read of them, or that hold other music
        beside what is read. Kept by default: what is read is music of that track, like any excerpt.
    on_not_finite : {'keep', 'drop'}
        For files with NaN or infinite samples; if kept, these samples are zero.
    on_duplicate : {'group', 'drop', 'keep'}
        For files that decode to the same samples.
    on_near_duplicate : {'group', 'drop', 'keep'}
        For files with the same recording, but another encoding, cut or level.
    """

    min_duration_s: float = Field(ge=0)
    max_duration_s: float = Field(gt=0)
    silence_db: float = Field(le=0)
    max_clipped: float = Field(ge=0, le=1)
    max_dc_offset: float = Field(ge=0, le=1)
    on_not_finite: KeepOrDrop
    on_silent: KeepOrDrop
    on_too_short: KeepOrDrop
    on_cut_short: KeepOrDrop
    on_duplicate: GroupDropOrKeep
    on_near_duplicate: GroupDropOrKeep
    on_clipped: KeepOrDrop
    on_dc_offset: KeepOrDrop
    on_mislabelled: KeepOrDrop
    on_known_fault: KeepOrDrop


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a file.

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
class Assessment:
    """What was found about a file, and what follows.

    Attributes
    ----------
    findings : list of Finding
        The most serious first; none if the file is good.
    same_as : int
        Index of the first file with the same recording, or the file's own index.
    recording : int
        Index of the first file that must be in the same split, or the file's own index.
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
        """The most serious finding; one that drops the file comes before all that do not."""
        order = sorted(self.findings, key=lambda finding: not finding.drops)
        return order[0].verdict if order else "good"


def assess(
    tracks: Sequence[RawTrack], decoded: Sequence[CachedAudio], params: QualityParams
) -> list[Assessment]:
    """Assess every file, first by itself and then in comparison with the others.

    Parameters
    ----------
    tracks, decoded : sequences of one length
        The files, and what they decode to.
    params : QualityParams
    """
    own_findings = [_own_findings(track, file, params) for track, file in zip(tracks, decoded, strict=True)]
    copies = _find_copies(tracks, decoded, own_findings)
    assessments = []
    for i, findings in enumerate(own_findings):
        if i not in copies:
            assessments.append(Assessment(findings, i, i))
            continue
        exact, near = copies[i]
        recording, twins = i, []
        if exact != i:
            twins.append(_twin("duplicate", "samples", tracks[i], tracks[exact], params.on_duplicate))
            if params.on_duplicate == "group":
                recording = exact
        if near != exact:
            rule = params.on_near_duplicate
            twins.append(_twin("near-duplicate", "recording", tracks[i], tracks[near], rule))
            if rule == "group":
                recording = near
        assessments.append(Assessment(twins + findings, near, recording))
    return assessments


def _find_copies(
    tracks: Sequence[RawTrack], decoded: Sequence[CachedAudio], own_findings: Sequence[list[Finding]]
) -> dict[int, tuple[int, int]]:
    """Return the first file with the same samples, and with the same recording, of each file.

    A file that its own findings drop is left out: all silent files, for example, are alike.
    """
    usable = [i for i, findings in enumerate(own_findings) if not any(finding.drops for finding in findings)]
    usable.sort(key=lambda i: (not tracks[i].label, i))  # a labelled file counts before its unlabelled copy
    first_of: dict[str, int] = {}
    exact = {i: first_of.setdefault(decoded[i].info.digest, i) for i in usable}
    different = [i for i in usable if exact[i] == i]
    pairs = duplicates.near_duplicates([decoded[i].fingerprint for i in different])
    group = duplicates.groups(len(different), pairs)
    near = {i: different[group[place]] for place, i in enumerate(different)}
    return {i: (exact[i], near[exact[i]]) for i in usable}


def _twin(verdict: str, what: str, track: RawTrack, other: RawTrack, rule: GroupDropOrKeep) -> Finding:
    labelled = f", which is labelled {other.label!r}" if track.label != other.label else ""
    return Finding(verdict, f"has the same {what} as {other.track_id}{labelled}", rule == "drop")


def _own_findings(track: RawTrack, decoded: CachedAudio, params: QualityParams) -> list[Finding]:
    """Return what is wrong with a file by itself, the most serious first."""
    info = decoded.info
    if info.problem:
        return [Finding(info.problem, info.reason, drops=True)]
    silence = 10 ** (params.silence_db / 20)
    checks = [
        (
            info.not_finite > 0,
            "not finite",
            f"has NaN or infinite samples ({info.not_finite:.2g} of all)",
            params.on_not_finite,
        ),
        (
            info.peak < silence,
            "silent",
            f"mixed to mono, has no sample over {params.silence_db:g} dB of full scale",
            params.on_silent,
        ),
        (
            info.duration_s < params.min_duration_s,
            "too short",
            f"lasts {info.duration_s:.3g} s, under quality.min_duration_s, {params.min_duration_s:g} s",
            params.on_too_short,
        ),
        (
            bool(info.cut_short),
            "cut short",
            info.cut_short,
            params.on_cut_short,
        ),
        (
            bool(track.fault),
            "known fault",
            f"is known to be faulty: {track.fault}",
            params.on_known_fault,
        ),
        (
            info.clipped > params.max_clipped,
            "clipped",
            f"has {info.clipped:.2%} of its samples at full scale",
            params.on_clipped,
        ),
        (
            abs(info.dc_offset) > params.max_dc_offset,
            "DC offset",
            f"has a mean of {info.dc_offset:+.3f} of full scale",
            params.on_dc_offset,
        ),
        (
            is_mislabelled(PurePath(track.path), info.encoding),
            "mislabelled",
            f"is {info.encoding} by its content",
            params.on_mislabelled,
        ),
    ]
    return [Finding(verdict, reason, rule == "drop") for holds, verdict, reason, rule in checks if holds]
