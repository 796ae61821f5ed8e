"""What a model card says, and that it says nothing else."""

import re
from dataclasses import replace

import pytest

from stages.audio.params import RenderParams
from stages.core.tables import Assignment, Confused, Novelty, Quality, SegmentedTrack
from stages.evaluation.metrics import ClassScores
from stages.reports import card
from stages.reports.card.limits import limits
from stages.reports.card.markup import escaped
from stages.reports.card.novelty import novelty
from stages.training.description import Description, InputFeature
from stages.training.scaler import Scaler
from tests.synthetic import composed_sections, good, recipe

SECTIONS = composed_sections()
LABELS = ["blues", "jazz"]
SCORES = {
    "accuracy": 0.61234,
    "accuracy_ci95_low": 0.55,
    "accuracy_ci95_high": 0.67,
    "macro_f1": 0.6,
    "balanced_accuracy": 0.59,
}
FEATURE = InputFeature(
    name="mfcc",
    settings={
        "n_fft": 2048,
        "hop_length": 512,
        "window": "hann",
        "pad_mode": "constant",
        "n_mfcc": 13,
        "mel": {"sample_rate_hz": 22050, "framing": {"n_fft": 2048}, "n_mels": 64, "fmax_hz": None},
    },
    sample_rate_hz=22050,
    segment_length=66150,
    variants=[],
    audio_sha256="abc",
    made_with="librosa 1",
)


def description(labels: list[str] = LABELS, **train: object) -> Description:
    others = {name: train.pop(name, None) for name in ("schedule", "loss", "augment")}
    return Description(
        model="LSTM",
        kwargs={"input_shape": [13, 130], "n_classes": len(labels), "hidden": 64},
        labels=labels,
        feature=FEATURE,
        rendering=RenderParams(window_s=30.0, windows=1, control=False),
        scaler=Scaler(name="bins", mean=[0.0] * 13, std=[1.0] * 13),
        recipe=recipe(train, **others),
        kept_epoch=3,
        content_key="c0ffee",
    )


def tracks(per_class: dict[str, int], labels: list[str] = LABELS) -> list[Assignment]:
    return [
        Assignment(f"{label}/{side}{i}.wav", label, "", side, -1)
        for label in labels
        for side, n in per_class.items()
        for i in range(n)
    ]


def facts(split: list[Assignment] | None = None, labels: list[str] = LABELS, **others: object) -> card.Facts:
    """Facts of a run about which there is as little to say as there can be."""
    split = split or tracks({"train": 30, "valid": 5, "test": 20}, labels)
    both = {"track": SCORES, "segment": {**SCORES, "accuracy": 0.5}}
    found = card.Facts(
        description=description(labels),
        n_parameters=12345,
        n_epochs=50,
        source={"name": "mine", "licence": "unknown: yours to know", "citation": "", "caveat": ""},
        quality=[good(row.track_id) for row in split],
        tracks=[SegmentedTrack(row.track_id, row.label, row.track_id, row.track_id, "", 10) for row in split],
        split=split,
        scheme=SECTIONS["split"],
        scores=dict.fromkeys(("train", "valid", "test", "baseline"), both),
        classes=[ClassScores(label, 0.5, 0.25, 1 / 3, 20) for label in labels],
        confused=[Confused("test", labels[0], labels[0], 18), Confused("test", labels[0], labels[1], 2)],
        open_set={"threshold": 0.7, "known_accepted": 0.9},
        novelties=[],
    )
    return replace(found, **others)


def scored(test: dict[str, float], baseline: dict[str, float] = SCORES) -> dict[str, dict]:
    both = {"track": SCORES, "segment": SCORES}
    return {
        "train": both,
        "valid": both,
        "test": both | {"track": test},
        "baseline": both | {"track": baseline},
    }


def noted(rows: list[Quality], track_id: str, **changes: object) -> list[Quality]:
    return [replace(row, **changes) if row.track_id == track_id else row for row in rows]


def tables(text: str) -> list[list[list[str]]]:
    """Cells of every table, as GitHub reads them: a bar with a backslash is none."""
    found = re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE)
    return [[re.split(r"(?<!\\)\|", row)[1:-1] for row in one.splitlines()] for one in found]


def test_it_tells_what_was_asked_of_it():
    text = card.markdown(facts())
    for part in (
        "# LSTM on mine",
        "Accuracy on 40 test tracks: **0.612**, 95 % interval 0.550 to 0.670.",
        "`models.LSTM` (`hidden=64`); 12,345 parameters.",
        "13 bins by 130 frames, of a segment of 3 s of mono audio at 22,050 Hz",
        "2,048 samples (93 ms), and one begins every 512 (23 ms)",
        "Settings of mfcc: `mel.n_mels=64`, `n_mfcc=13`.",
        "Split: grouped (`seed=0`, `test=0.2`, `valid=0.2`).",
        "| all segments | 600 | 100 | 400 |",
        "| optimiser | Adam, learning rate 0.001 |",
        "| LSTM | 40 test tracks | 0.612 | 0.550 to 0.670 | 0.600 | 0.590 |",
        "| linear baseline | 400 test segments | 0.500 |",
        "| blues | jazz | 2 of 20 |",
        "Always naming the largest class of train (blues) would score 0.500.",
        "Licence of the music: unknown: yours to know.",
        "Citation: unknown.",
        "`c0ffee`",
        "dvc repro",
    ):
        assert part in text
    assert "None" not in text
    assert "null" not in text
    assert text == card.markdown(facts())


def test_a_caveat_is_quoted_and_no_caveat_leaves_no_quote():
    assert "\n>" not in card.markdown(facts())
    source = {**facts().source, "caveat": "A toy: no evidence."}
    assert "\n\n> A toy: no evidence.\n\n" in card.markdown(facts(source=source))


@pytest.mark.parametrize(
    "label", ["a|b", "_x_", "**", "`tick`", "<b>", "[a](b)", "back\\|slash", "two\nlines"]
)
def test_no_name_breaks_a_table(label):
    for table in tables(card.markdown(facts(labels=[label, "jazz"]))):
        assert len({len(row) for row in table}) == 1
    # a backslash before punctuation shows the punctuation, and all that is special has one
    shown = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped(label))
    assert shown == " ".join(label.split())
    assert not re.search(r"(?<!\\)(\\\\)*[|_*`<\[]", escaped(label))


class TestComparison:
    """The sentence about the linear baseline."""

    @pytest.mark.parametrize(
        ("low", "accuracy", "high", "said"),
        [
            (0.80, 0.85, 0.9, "23.8 points above the linear baseline. Their intervals do not overlap"),
            (0.60, 0.65, 0.7, "3.8 points above the linear baseline. Their intervals overlap"),
            (0.10, 0.20, 0.3, "41.2 points below the linear baseline. Their intervals do not overlap"),
            (0.55, 0.61234, 0.67, "level with the linear baseline. Their intervals overlap"),
        ],
    )
    def test_it_goes_no_further_than_the_intervals(self, low, accuracy, high, said):
        test = {**SCORES, "accuracy_ci95_low": low, "accuracy": accuracy, "accuracy_ci95_high": high}
        assert f"On test tracks the model is {said}" in card.markdown(facts(scores=scored(test)))


class TestTraining:
    """The table of what was in effect."""

    def rows(self, **train: object) -> dict[str, str]:
        about = facts(description=description(**train), n_epochs=train.get("epochs", 50))
        table = next(rows for rows in tables(card.markdown(about)) if rows[0][0].strip() == "setting")
        return {name.strip(): value.strip() for name, value in table[2:]}

    def test_what_was_not_in_effect_has_no_row(self):
        assert set(self.rows()) == {
            "optimiser", "schedule", "loss", "batch", "input scaling", "augmentation", "epochs", "seed",
        }  # fmt: skip

    def test_what_was_has(self):
        augment = {**SECTIONS["augment"], "mixup": 0.2, "specaugment": {"freq_masks": 2, "max_bins": 0.1}}
        augment["specaugment"] |= {"time_masks": 1, "max_frames": 0.1}
        rows = self.rows(
            optimizer="sgd", momentum=0.9, weight_decay=0.01, l1=1e-5, clip_norm=1.0, ema_decay=0.99,
            accumulate=4, precision="bf16-mixed", scaler="example", keep="last", rounds=2, epochs=100,
            schedule={
                "name": "cosine_restarts", "warmup_epochs": 2.0, "period_epochs": 5, "final_ratio": 0.1
            },
            loss={"name": "binary_cross_entropy", "label_smoothing": 0.1, "class_weights": "balanced"},
            augment=augment,
        )  # fmt: skip
        assert rows["optimiser"] == "SGD, learning rate 0.001, weight decay 0.01, momentum 0.9"
        assert rows["schedule"] == "cosine restarts (`final_ratio=0.1`, `period_epochs=5`), warm-up 2 epochs"
        assert rows["loss"].endswith(
            "a sigmoid for each class; label smoothing 0.1; classes weighted to balance"
        )
        assert rows["batch"] == "32 segments, 4 batches to a step"
        assert "`specaugment.freq_masks=2`" in rows["augmentation"]
        assert rows["augmentation"].startswith("`mixup=0.2`, ")
        assert rows["L1 penalty"] == "1e-05"
        assert rows["weights"] == "moving average, decay 0.99 a step"
        assert rows["epochs"].startswith("100 of at most 200 (2 rounds), stopped after 10 without")
        assert rows["epochs"].endswith("kept: epoch 3, the last")

    def test_augmentations_have_their_picture(self):
        assert "augmentations.png" not in card.markdown(facts())
        augment = {**SECTIONS["augment"], "noise": 0.1}
        assert "figures/augmentations.png" in card.markdown(facts(description=description(augment=augment)))


class TestData:
    """Where every file went."""

    def test_all_are_accounted_for(self):
        split = [
            *tracks({"train": 3, "valid": 1, "test": 2, "excluded": 1}),
            Assignment("lone.wav", "", "lone.wav", "unlabelled", -1),
        ]
        about = facts(split)
        quality = [
            *noted(about.quality, "jazz/train0.wav", verdict="clipped"),
            replace(good("bad.wav"), outcome="dropped", verdict="decode error"),
            good("short.wav"),
        ]
        short = SegmentedTrack("short.wav", "jazz", "", "short.wav", "", 0)
        text = card.markdown(replace(about, quality=quality, tracks=[*about.tracks, short]))
        assert "17 files found, 1 dropped (1 decode error). Kept, but noted: 1 clipped." in text
        assert "on no side: 2 excluded by the split, 1 shorter than a segment, 1 unlabelled." in text
        assert "5 of 17 files on no side: how music like that fares is unknown." in text

    def test_uneven_classes_are_told(self):
        split = [
            row for row in tracks({"train": 8, "valid": 1, "test": 1}) if "jazz/train7" not in row.track_id
        ]
        assert "Classes in train: 7 to 8 tracks, a ratio of 1.1." in card.markdown(facts(split))

    @pytest.mark.parametrize(
        ("scheme", "said"),
        [
            ({"name": "file", "path": "/home/me/a_b.csv", "watch": "x"}, r"file (a\_b.csv). A file gives"),
            ({"name": "published", "watch": "x"}, "Split: published. The dataset publishes the sides"),
            ({"name": "stratified", "seed": 3, "watch": "x"}, "(`seed=3`). Copies of a recording"),
            ({"name": "kfold", "k": 5, "fold": 2, "watch": "x"}, "(`fold=2`, `k=5`). Tracks that share"),
        ],
    )
    def test_each_scheme_says_what_it_keeps_apart(self, scheme, said):
        text = card.markdown(facts(scheme=scheme))
        assert said in text
        assert "/home" not in text


class TestClasses:
    def test_what_is_undefined_is_no_number(self):
        classes = [ClassScores("blues", 0.0, 0.0, 0.0, 20), ClassScores("jazz", 0.0, 0.0, 0.0, 0)]
        confused = [Confused("test", "blues", "jazz", 20), Confused("train", "jazz", "blues", 9)]
        text = card.markdown(facts(classes=classes, confused=confused))
        assert "| blues | - | 0.00 | 0.00 | 20 | 0 |" in text
        assert "| jazz | 0.00 | - | 0.00 | 0 | 20 |" in text

    def test_without_confusions_it_says_so(self):
        text = card.markdown(facts(confused=[Confused("test", "blues", "blues", 20)]))
        assert "No test track is taken for another class." in text


class TestLimits:
    """Each follows from the run, and is absent where it does not."""

    def test_a_run_without_faults_has_these_only(self):
        narrow = {**SCORES, "accuracy_ci95_low": 0.6, "accuracy_ci95_high": 0.65}
        _, text = limits(facts(scores=scored(narrow)))
        assert [line.partition(":")[0] for line in text.splitlines()] == [
            "- The smallest class has 20 test tracks",
            "- One training with one seed",
            "- The validation side chose the epoch, so its scores are optimistic.",
        ]

    def said(self, about: card.Facts) -> str:
        return limits(about)[1]

    def test_a_wide_interval(self):
        assert "40 test tracks: the interval of accuracy is 12 points wide" in self.said(facts())

    def test_every_test_track_right(self):
        right = {**SCORES, "accuracy": 1.0, "accuracy_ci95_low": 1.0, "accuracy_ci95_high": 1.0}
        assert "may be as low as 0.925" in self.said(facts(scores=scored(right)))

    def test_groups_on_two_sides_and_within_test(self):
        grouped = [replace(track, group=track.label) for track in facts().tracks]
        said = self.said(facts(tracks=grouped))
        assert "2 groups on two sides: accuracy is optimistic." in said
        assert "The 40 test tracks come from 2 groups." in said

    def test_unknown_groups(self):
        said = self.said(facts(tracks=[replace(track, group="") for track in facts().tracks]))
        assert "The group of 110 of 110 tracks is unknown" in said
        assert "come from" not in said

    def test_copies_even_where_the_split_was_told_to_take_no_notice(self):
        quality = noted(facts().quality, "jazz/test0.wav", same_as="jazz/train0.wav")
        said = self.said(facts(quality=quality))
        assert "1 recording on two sides: accuracy is optimistic." in said
        assert "1 copy of a recording among 110 tracks." in said

    def test_midi(self):
        quality = noted(facts().quality, "jazz/test0.wav", encoding="MIDI")
        assert "1 of 110 tracks from MIDI" in self.said(facts(quality=quality))

    def test_classes_that_are_not_on_a_side(self):
        split = [
            row
            for row in tracks({"train": 2, "valid": 1, "test": 2})
            if row.split != "test" or row.label == "blues"
        ]
        said = self.said(facts(split))
        assert "No track in test, hence never judged: jazz." in said
        assert "never learnt" not in said

    def test_the_last_epoch_was_chosen_by_nobody(self):
        assert "chose the epoch" not in self.said(facts(description=description(keep="last")))


class TestNovelty:
    """The section about new music."""

    def test_without_new_music_it_tells_the_threshold(self):
        text = "\n".join(novelty(facts()))
        assert "one minus the highest class probability" in text
        assert "Tracks over 0.700" in text
        assert "10.0 % of the test tracks do, wrongly" in text
        assert "AUROC" not in text

    def test_embeddings_have_distances(self):
        loss = {"name": "supcon", "embedding_size": 64, "temperature": 0.1}
        of_embedding = facts(description=description(loss=loss))
        assert "distance to the nearest class prototype" in "\n".join(novelty(of_embedding))
        assert "supervised contrast of embeddings" in card.markdown(of_embedding)

    def test_unknown_classes_stand_beside_the_baseline(self):
        held_out = [Assignment(f"polka/{i}.wav", "polka", "", "unknown", -1) for i in range(7)]
        area = {"auroc": 0.8, "auroc_ci95_low": 0.7, "auroc_ci95_high": 0.9}
        scores = scored(SCORES) | {"baseline": {"track": SCORES, "segment": SCORES, "open_set": area}}
        found = facts(
            [*tracks({"train": 30, "valid": 5, "test": 20}), *held_out],
            scores=scores,
            open_set={
                "threshold": 0.7,
                "known_accepted": 0.9,
                "unknown_found": 0.4,
                "balanced_accuracy": 0.55,
                **area,
                "auroc": 0.85,
            },
        )
        text = card.markdown(found)
        assert "Held out from training: 7 tracks of polka. 40.0 % of them are found new." in text
        assert "7 of classes held out as unknown" in text
        rows = [[cell.strip() for cell in row] for row in tables("\n".join(novelty(found)))[0]]
        assert rows[2:] == [
            ["LSTM", "0.850", "0.700 to 0.900"],
            ["linear baseline", "0.800", "0.700 to 0.900"],
        ]

    def test_the_most_novel_unlabelled_tracks_are_listed(self):
        rows = [
            Novelty(f"new {i}.mid", "unlabelled", "", "jazz", 1 - i / 100, "yes" if i < 3 else "no")
            for i in range(12)
        ]
        others = [Novelty("blues/test0.wav", "test", "blues", "jazz", 0.99, "yes")]
        text = "\n".join(novelty(facts(novelties=[*others, *rows])))
        assert "3 of 12 unlabelled tracks count as new" in text
        assert "new 9.mid" in text
        assert "new 10.mid" not in text
        assert "blues/test0" not in text
