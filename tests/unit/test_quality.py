"""What is found wrong with a file, and what the rules decide."""

import numpy as np
import pytest

from stages.audio.cached import CachedAudio
from stages.audio.decode import AudioInfo
from stages.audio.params import QualityParams
from stages.audio.quality import Assessment, assess
from stages.core.params import check
from stages.core.tables import RawTrack
from tests.synthetic import composed_sections

GOOD = {"encoding": "WAV/PCM_16", "sample_rate_hz": 22050, "n_channels": 1, "duration_s": 30.0, "peak": 0.5}
ORDINARY = np.random.default_rng(0).integers(1, 2**32, (8, 1200), dtype=np.uint32)


def rules(**changes: object) -> QualityParams:
    return check({**composed_sections()["quality"], **changes}, QualityParams, "quality")


def track(name: str, label: str = "jazz", fault: str = "") -> RawTrack:
    return RawTrack(track_id=name, path=f"{label}/{name}", label=label, group="", fault=fault, source="test")


def audio(number: int, words: np.ndarray | None = None, **changes: object) -> CachedAudio:
    """File `number`, different from all others unless it gets their words or digest."""
    info = AudioInfo(**{**GOOD, "digest": f"digest {number}", **changes})
    return CachedAudio(f"key {number}", info, ORDINARY[number] if words is None else words, 0)


def assessed_alone(
    name: str = "a.wav", fault: str = "", rule: dict | None = None, **info: object
) -> Assessment:
    [assessment] = assess([track(name, fault=fault)], [audio(0, **info)], rules(**(rule or {})))
    return assessment


@pytest.mark.parametrize(
    ("verdict", "key", "info"),
    [
        ("not finite", "on_not_finite", {"not_finite": 0.001}),
        ("silent", "on_silent", {"peak": 0.9e-4}),
        ("too short", "on_too_short", {"duration_s": 0.99}),
        ("cut short", "on_cut_short", {"cut_short": "should last 30.00 s, but 4.60 s can be read"}),
        ("clipped", "on_clipped", {"clipped": 0.011}),
        ("DC offset", "on_dc_offset", {"dc_offset": -0.021}),
        ("mislabelled", "on_mislabelled", {"encoding": "FLAC/PCM_16"}),
    ],
)
def test_a_rule_decides_whether_a_finding_drops_the_file(verdict, key, info):
    for rule, is_kept in (("keep", True), ("drop", False)):
        assessment = assessed_alone(rule={key: rule}, **info)
        assert (assessment.verdict, assessment.is_kept) == (verdict, is_kept)
        assert len(assessment.findings) == 1
        assert assessment.findings[0].reason


@pytest.mark.parametrize(
    "info",
    [{"peak": 1.1e-4}, {"duration_s": 1.0}, {"clipped": 0.01}, {"dc_offset": 0.02}, {"peak": 5.0}],
)
def test_a_file_within_all_limits_is_good(info):
    assessment = assessed_alone(**info)
    assert (assessment.verdict, assessment.is_kept, assessment.findings) == ("good", True, [])


@pytest.mark.parametrize("problem", ["decode error", "empty", "too long"])
def test_a_file_without_waveform_is_always_dropped(problem):
    everything = {key: "keep" for key in composed_sections()["quality"] if key.startswith("on_")}
    assessment = assessed_alone(rule=everything, problem=problem, reason="cannot be used", peak=0.0)
    assert (assessment.verdict, assessment.is_kept) == (problem, False)
    assert [finding.reason for finding in assessment.findings] == ["cannot be used"]


def test_known_faults_are_listed():
    assessment = assessed_alone(fault="replica of disco.00050")
    assert (assessment.verdict, assessment.is_kept) == ("known fault", True)
    assert "replica of disco.00050" in assessment.findings[0].reason
    assert not assessed_alone(fault="x", rule={"on_known_fault": "drop"}).is_kept


def test_the_verdict_is_the_finding_that_drops_the_file():
    assessment = assessed_alone(clipped=0.5, dc_offset=0.5, rule={"on_dc_offset": "drop"})
    assert assessment.verdict == "DC offset"
    assert [finding.verdict for finding in assessment.findings] == ["clipped", "DC offset"]


@pytest.mark.parametrize("name", ["a.wav", "a.WAV"])
def test_the_case_of_a_suffix_does_not_matter(name):
    assert assessed_alone(name).verdict == "good"
    assert assessed_alone(name, encoding="WAVEX/PCM_16").verdict == "good"


class TestTwins:
    """Files with the same samples, or with the same recording."""

    def dataset(self) -> tuple[list[RawTrack], list[CachedAudio]]:
        """0 and 2: same samples; 0, 2 and 4: same recording (4 is cut); 1, 3: different."""
        labels = ["jazz", "jazz", "rock", "rock", ""]
        tracks = [track(f"{i}.wav", label) for i, label in enumerate(labels)]
        copy, cut = audio(2, ORDINARY[0], digest="digest 0"), audio(4, ORDINARY[0][43:])
        return tracks, [audio(0), audio(1), copy, audio(3), cut]

    def assessed(self, **changes: object) -> list[Assessment]:
        return assess(*self.dataset(), rules(**changes))

    def test_copies_name_the_first_file(self):
        verdicts = [assessment.verdict for assessment in self.assessed()]
        assert verdicts == ["good", "good", "duplicate", "good", "near-duplicate"]
        assert [assessment.same_as for assessment in self.assessed()] == [0, 1, 0, 3, 0]
        [finding] = self.assessed()[2].findings
        assert finding.reason == "has the same samples as 0.wav, which is labelled 'jazz'"

    @pytest.mark.parametrize(
        ("exact", "near", "recordings", "kept"),
        [
            ("group", "group", [0, 1, 0, 3, 0], [0, 1, 2, 3, 4]),
            ("keep", "group", [0, 1, 2, 3, 0], [0, 1, 2, 3, 4]),
            ("keep", "drop", [0, 1, 2, 3, 4], [0, 1, 2, 3]),
            ("drop", "keep", [0, 1, 2, 3, 4], [0, 1, 3, 4]),
            ("group", "keep", [0, 1, 0, 3, 4], [0, 1, 2, 3, 4]),
            ("keep", "keep", [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
            ("drop", "group", [0, 1, 2, 3, 0], [0, 1, 3, 4]),
            ("group", "drop", [0, 1, 0, 3, 4], [0, 1, 2, 3]),
            ("drop", "drop", [0, 1, 2, 3, 4], [0, 1, 3]),
        ],
    )
    def test_rules_for_exact_and_near_duplicates(self, exact, near, recordings, kept):
        assessments = self.assessed(on_duplicate=exact, on_near_duplicate=near)
        assert [assessment.recording for assessment in assessments] == recordings
        assert [i for i, assessment in enumerate(assessments) if assessment.is_kept] == kept

    @pytest.mark.parametrize("exact", ["group", "keep"])
    def test_copies_of_a_near_duplicate_are_in_its_group(self, exact):
        tracks = [track(f"{i}.wav") for i in range(3)]
        cut = audio(1, ORDINARY[0][43:])
        assessments = assess(tracks, [audio(0), cut, cut], rules(on_duplicate=exact))
        assert [assessment.recording for assessment in assessments] == [0, 0, 0]

    def test_the_labelled_copy_is_kept_rather_than_the_first(self):
        tracks = [track("0.wav", ""), track("1.wav", "rock")]
        assessments = assess(tracks, [audio(0), audio(0)], rules(on_duplicate="drop"))
        assert [assessment.is_kept for assessment in assessments] == [False, True]

    def test_silent_files_are_not_duplicates(self):
        nothing = np.empty(0, np.uint32)
        files = [audio(i, nothing, peak=0.0, digest="same") for i in range(3)]
        assessments = assess([track(f"{i}.wav") for i in range(3)], files, rules())
        assert [assessment.verdict for assessment in assessments] == ["silent"] * 3
        assert [assessment.same_as for assessment in assessments] == [0, 1, 2]
