"""What is found wrong with a file, and what the rules make of it."""

import numpy as np
import pytest

from stages.audio.cached import Heard
from stages.audio.decode import Sound
from stages.audio.quality import Judgement, QualityParams, judge
from stages.core.params import check
from stages.core.tables import RawTrack
from tests.synthetic import composed_sections

GOOD = {"encoding": "WAV/PCM_16", "sample_rate_hz": 22050, "n_channels": 1, "duration_s": 30.0, "peak": 0.5}
ORDINARY = np.random.default_rng(0).integers(1, 2**32, (8, 1200), dtype=np.uint32)


def rules(**changes: object) -> QualityParams:
    return check({**composed_sections()["quality"], **changes}, QualityParams, "quality")


def track(name: str, label: str = "jazz", fault: str = "") -> RawTrack:
    return RawTrack(name, f"{label}/{name}", label, "", "", fault, "", 0, "test")


def heard(number: int, words: np.ndarray | None = None, **changes: object) -> Heard:
    """File `number`, unlike all others unless it is given the words or the digest of another."""
    sound = Sound(**{**GOOD, "digest": f"digest {number}", **changes})
    return Heard(f"key {number}", sound, ORDINARY[number] if words is None else words)


def judged_alone(
    name: str = "a.wav", fault: str = "", rule: dict | None = None, **sound: object
) -> Judgement:
    [judgement] = judge([track(name, fault=fault)], [heard(0, **sound)], rules(**(rule or {})))
    return judgement


@pytest.mark.parametrize(
    ("verdict", "key", "sound"),
    [
        ("not finite", "on_not_finite", {"not_finite": 0.001}),
        ("silent", "on_silent", {"peak": 0.9e-4}),
        ("too short", "on_too_short", {"duration_s": 0.99}),
        ("clipped", "on_clipped", {"clipped": 0.011}),
        ("DC offset", "on_dc_offset", {"dc_offset": -0.021}),
        ("mislabelled", "on_mislabelled", {"encoding": "FLAC/PCM_16"}),
    ],
)
def test_a_finding_drops_or_notes_as_its_rule_says(verdict, key, sound):
    for rule, is_kept in (("keep", True), ("drop", False)):
        judgement = judged_alone(rule={key: rule}, **sound)
        assert (judgement.verdict, judgement.is_kept) == (verdict, is_kept)
        assert len(judgement.findings) == 1
        assert judgement.findings[0].reason


@pytest.mark.parametrize(
    "sound",
    [{"peak": 1.1e-4}, {"duration_s": 1.0}, {"clipped": 0.01}, {"dc_offset": 0.02}, {"peak": 5.0}],
)
def test_what_is_within_the_limits_is_good(sound):
    judgement = judged_alone(**sound)
    assert (judgement.verdict, judgement.is_kept, judgement.findings) == ("good", True, [])


@pytest.mark.parametrize("problem", ["decode error", "empty", "too long"])
def test_what_has_no_waveform_is_dropped_under_any_rules(problem):
    everything = {key: "keep" for key in composed_sections()["quality"] if key.startswith("on_")}
    judgement = judged_alone(rule=everything, problem=problem, reason="cannot be used", peak=0.0)
    assert (judgement.verdict, judgement.is_kept) == (problem, False)
    assert [finding.reason for finding in judgement.findings] == ["cannot be used"]


def test_known_faults_are_told():
    judgement = judged_alone(fault="replica of disco.00050")
    assert (judgement.verdict, judgement.is_kept) == ("known fault", True)
    assert "replica of disco.00050" in judgement.findings[0].reason
    assert not judged_alone(fault="x", rule={"on_known_fault": "drop"}).is_kept


def test_the_finding_that_drops_is_the_verdict_and_all_are_told():
    judgement = judged_alone(clipped=0.5, dc_offset=0.5, rule={"on_dc_offset": "drop"})
    assert judgement.verdict == "DC offset"
    assert [finding.verdict for finding in judgement.findings] == ["clipped", "DC offset"]


@pytest.mark.parametrize("name", ["a.wav", "a.WAV"])
def test_names_and_contents_are_compared_whatever_the_case(name):
    assert judged_alone(name).verdict == "good"
    assert judged_alone(name, encoding="WAVEX/PCM_16").verdict == "good"


class TestTwins:
    """Files with the same samples, or with the same recording."""

    def shelf(self) -> tuple[list[RawTrack], list[Heard]]:
        """0 and 2: same samples; 0, 2 and 4: same recording (4 cut and shifted); 1, 3: others."""
        labels = ["jazz", "jazz", "rock", "rock", ""]
        tracks = [track(f"{i}.wav", label) for i, label in enumerate(labels)]
        copy, cut = heard(2, ORDINARY[0], digest="digest 0"), heard(4, ORDINARY[0][43:])
        return tracks, [heard(0), heard(1), copy, heard(3), cut]

    def judged(self, **changes: object) -> list[Judgement]:
        return judge(*self.shelf(), rules(**changes))

    def test_each_is_told_of_the_first(self):
        verdicts = [judgement.verdict for judgement in self.judged()]
        assert verdicts == ["good", "good", "duplicate", "good", "near-duplicate"]
        assert [judgement.same_as for judgement in self.judged()] == [0, 1, 0, 3, 0]
        [finding] = self.judged()[2].findings
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
    def test_rules(self, exact, near, recordings, kept):
        judged = self.judged(on_duplicate=exact, on_near_duplicate=near)
        assert [judgement.recording for judgement in judged] == recordings
        assert [i for i, judgement in enumerate(judged) if judgement.is_kept] == kept

    @pytest.mark.parametrize("exact", ["group", "keep"])
    def test_a_copy_of_a_near_duplicate_goes_with_its_original(self, exact):
        tracks = [track(f"{i}.wav") for i in range(3)]
        cut = heard(1, ORDINARY[0][43:])
        judged = judge(tracks, [heard(0), cut, cut], rules(on_duplicate=exact))
        assert [judgement.recording for judgement in judged] == [0, 0, 0]

    def test_the_labelled_one_is_kept_not_the_first(self):
        tracks = [track("0.wav", ""), track("1.wav", "rock")]
        judged = judge(tracks, [heard(0), heard(0)], rules(on_duplicate="drop"))
        assert [judgement.is_kept for judgement in judged] == [False, True]

    def test_silent_files_are_nobodys_duplicates(self):
        nothing = np.empty(0, np.uint32)
        files = [heard(i, nothing, peak=0.0, digest="same") for i in range(3)]
        judged = judge([track(f"{i}.wav") for i in range(3)], files, rules())
        assert [judgement.verdict for judgement in judged] == ["silent"] * 3
        assert [judgement.same_as for judgement in judged] == [0, 1, 2]
