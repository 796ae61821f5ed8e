"""Find what is wrong with a file, and decide whether it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from stages.audio import duplicates
from stages.audio.cached import CachedAudio
from stages.audio.formats import is_mislabelled
from stages.audio.params import GroupDropOrKeep, QualityParams
from stages.core.connected import connected
from stages.core.tables import RawTrack


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
    group = connected(len(different), [(first, second) for first, second, _ in pairs])
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
