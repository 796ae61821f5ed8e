"""What a model card says, and that it says nothing else."""

import html
import re
from dataclasses import replace
from typing import get_args

import pytest
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from stages.audio.params import RenderParams
from stages.core.tables import Assignment, Confused, Novelty, Quality, SegmentedTrack
from stages.evaluation.metrics import ClassScores
from stages.evaluation.retrieval import Retrieval
from stages.reports import card
from stages.reports.card.limits import limits
from stages.reports.card.markup import code, escaped
from stages.sources.sample import Sample
from stages.training.description import Description, ModelInput
from stages.training.recipe import TrainParams
from stages.training.scaler import Scaler
from tests.synthetic import composed_sections, good, recipe

pytestmark = pytest.mark.slow

SECTIONS = composed_sections()
LABELS = ["blues", "jazz"]
SCORES = {
    "accuracy": 0.61234,
    "accuracy_ci95_low": 0.55,
    "accuracy_ci95_high": 0.67,
    "macro_f1": 0.6,
    "balanced_accuracy": 0.59,
}
HEARD = {"layer": "max_pool", "trained_on": ["tags", "sample"]}
AREA = {"auroc": 0.8, "auroc_ci95_low": 0.7, "auroc_ci95_high": 0.9}
INPUT = ModelInput(
    feature="mfcc",
    settings={
        "mfcc": {
            "n_fft": 2048,
            "hop_length": 512,
            "window": "hann",
            "pad_mode": "constant",
            "n_mfcc": 13,
            "mel": {"sample_rate_hz": 22050, "framing": {"n_fft": 2048}, "n_mels": 64, "fmax_hz": None},
        }
    },
    sample_rate_hz=22050,
    segment_length=66150,
    variants=[],
    audio_sha256="abc",
    made_with="librosa 1",
)
SEVERAL = INPUT.model_copy(
    update={"feature": ["mfcc", "musicnn"], "settings": {**INPUT.settings, "musicnn": HEARD}}
)


def description(
    labels: list[str] = LABELS,
    given: ModelInput = INPUT,
    input_shape: tuple[int, int] = (13, 130),
    **train: object,
) -> Description:
    others = {name: train.pop(name, None) for name in ("schedule", "loss", "augment")}
    return Description(
        model="LSTM",
        kwargs={"input_shape": input_shape, "n_classes": len(labels), "hidden": 64},
        labels=labels,
        input=given,
        rendering=RenderParams(window_s=30.0, windows=1, control=False),
        scaler=Scaler(name="bins", mean=[0.0] * 13, std=[1.0] * 13),
        recipe=recipe(train, **others),
        kept_epoch=3,
        content_key="c0ffee",
    )


def tracks(per_class: dict[str, int], labels: list[str] = LABELS) -> list[Assignment]:
    return [
        Assignment(f"{label}/{split}{i}.wav", label, "", split, -1)
        for label in labels
        for split, n in per_class.items()
        for i in range(n)
    ]


def facts(split: list[Assignment] | None = None, labels: list[str] = LABELS, **others: object) -> card.Facts:
    """Facts of a run about which there is as little to say as possible."""
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
        minus_baseline={"accuracy": 0.0, "accuracy_ci95_low": -0.1, "accuracy_ci95_high": 0.1, "p": 1.0},
        n_units=40,
        classes=[ClassScores(label, 0.5, 0.25, 1 / 3, 20) for label in labels],
        confused=[Confused("test", labels[0], labels[0], 18), Confused("test", labels[0], labels[1], 2)],
        open_set={"threshold": 0.7, "known_accepted": 0.9},
        novelties=[],
        retrieved=[],
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


def section(text: str, title: str) -> str:
    """The text under a heading, as one line."""
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found.split())


def tables(text: str) -> list[list[list[str]]]:
    """Cells of every table but its delimiter row, as GitHub reads them: a bar with a backslash is none."""
    found = re.findall(r"^.*\n---(?:\|---)+\n(?:.+\n)*", text, re.MULTILINE)
    rows = [[one.splitlines()[0], *one.splitlines()[2:]] for one in found]
    return [[[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in one] for one in rows]


def shown(markdown: str) -> str:
    """What a viewer of Markdown shows, as HTML."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)


def test_card_has_facts_of_model_music_and_scores():
    text = card.markdown(facts())
    lines = " ".join(text.split())
    for part in (
        "# LSTM on mine",
        "40 test tracks | accuracy | 95 % interval | macro-F1 | balanced accuracy",
        "LSTM | **0.612** | 0.550 to 0.670 | 0.600 | 0.590",
        "linear baseline | 0.612 | 0.550 to 0.670 | 0.600 | 0.590",
        "Always predicting the largest class of train (blues) would score 0.500.",
        "test segments 0.500 (linear baseline 0.500), validation tracks 0.612, training tracks 0.612.",
        "blues | 0.50 | 0.25 | 0.33 | 20",
        "Largest of 1 confusion ([confusion.csv](confusion.csv)): blues as jazz (2 of 20).",
        "- Files: 110 found, 0 dropped.",
        "- Split: grouped (`seed=0`, `test=0.2`, `valid=0.2`).",
        "- Tracks (segments): train 60 (600), valid 10 (100), test 40 (400).",
        "- Groups: 110, known for 110 of 110 tracks; 0 in more than one split.",
        "- Recordings: 110; 0 in more than one split.",
        "- Licence: unknown: yours to know.",
        "- Citation: unknown.",
        "- model: `models.LSTM` (`hidden=64`), 12,345 parameters",
        "- input: [mfcc](../README.md#featuresh5), 13 bins by 130 frames, of 3 s of mono audio at 22,050 Hz",
        "- frames: 2,048 samples (93 ms) every 512 samples (23 ms), window hann, padding constant",
        "- feature: `mel.n_mels=64`, `n_mfcc=13`",
        "- optimiser: Adam, learning rate 0.001",
        "- content key: `c0ffee`",
        "`dvc repro`",
    ):
        assert part in lines, part
    assert "None" not in text
    assert "null" not in text
    assert text == card.markdown(facts())


def test_result_picture_and_limits_come_first_settings_last():
    text = card.markdown(facts())
    places = [text.index(part) for part in ("**0.612**", "(figures/confusion_test.png)", "## Limits")]
    headings = re.findall("^## (.*)$", text, re.MULTILINE)
    assert places == sorted(places)
    assert headings[0] == "Limits"
    assert headings[-1] == "Training and settings"
    assert text.endswith("deviations over time\n")


def test_caveat_is_quoted_and_may_be_absent():
    assert "\n>" not in card.markdown(facts())
    source = {**facts().source, "caveat": "A toy: no evidence."}
    assert "\n\n> A toy: no evidence.\n\n" in card.markdown(facts(source=source))


class TestSimilar:
    """Whether similar tracks are of the same genre."""

    def rows(self, same_artist: str) -> list[Retrieval]:
        return [
            Retrieval(name, same_artist, k, precision, 0.31, 0.59, 0.9, 0.1, 1234)
            for name, precision in (("model", 0.5), ("mfcc", 0.4))
            for k in (1, 5)
        ]

    def test_the_table_is_without_tracks_of_the_same_artist(self):
        found = card.markdown(facts(retrieved=[*self.rows("allowed"), *self.rows("removed")]))
        assert "without those of the same artist" in section(found, "Similar music")
        (table,) = (one for one in tables(found) if one[0][0] == "compared by")
        assert table == [
            ["compared by", "of 1", "of 5 (95 % interval)"],
            ["LSTM", "0.500", "0.500 (0.310 to 0.590)"],
            ["mfcc alone", "0.400", "0.400 (0.310 to 0.590)"],
            ["at best", "0.900", "0.900"],
            ["chance", "0.100", "0.100"],
        ]

    def test_where_no_genre_has_two_artists_it_says_so(self):
        found = section(card.markdown(facts(retrieved=self.rows("allowed"))), "Similar music")
        assert "with those of the same artist: no genre has two, so that this is easy" in found

    def test_too_few_tracks_have_no_section(self):
        assert "Similar music" not in card.markdown(facts(retrieved=[]))


class TestLength:
    """Words as `wc -w` counts them."""

    def about(self, n_classes: int) -> card.Facts:
        labels = [f"class {number:02d}" for number in range(n_classes)]
        split = tracks({"train": 6, "valid": 3, "test": 3}, labels)
        source = {"name": Sample.name, "licence": Sample.licence, "citation": Sample.citation}
        found = facts(split, labels, source=source | {"caveat": Sample.caveat})
        classes = [ClassScores(label, 0.5, i / 200, i / 200, 3) for i, label in enumerate(labels)]
        confused = [
            Confused("test", one, other, 3 if one == other else 1) for one in labels for other in labels
        ]
        groups = [replace(row, group=row.track_id[:-5]) for row in found.tracks]
        retrieved = [
            Retrieval(name, "removed", k, 0.5, 0.4, 0.6, 0.9, 0.1, 30)
            for name in ("model", "musicnn", "mfcc")
            for k in (1, 5, 10)
        ]
        return replace(found, tracks=groups, classes=classes, confused=confused, retrieved=retrieved)

    def test_sample_takes_under_900_words(self):
        assert 500 < len(card.markdown(self.about(10)).split()) < 900

    def test_100_classes_and_every_section_take_under_1200_words(self):
        found = self.about(100)
        unknown = [Assignment(f"u/{i}.wav", f"unknown {i}", "", "unknown", -1) for i in range(100)]
        scores = found.scores | {"baseline": found.scores["baseline"] | {"open_set": AREA}}
        augment = {**SECTIONS["augment"], "noise": 0.1, "mixup": 0.2}
        everything = replace(
            found,
            split=[*found.split, *unknown],
            tracks=[
                *found.tracks,
                *(SegmentedTrack(row.track_id, row.label, "", "", "", 9) for row in unknown),
            ],
            quality=[replace(good(row.track_id), encoding="MIDI") for row in [*found.split, *unknown]],
            description=description(found.description.labels, augment=augment),
            scores=scores,
            open_set={**found.open_set, **AREA, "unknown_found": 0.4, "balanced_accuracy": 0.5},
            novelties=[Novelty(f"{i}.mid", "unlabelled", "", "class 01", 0.9, "yes") for i in range(99)],
        )
        text = card.markdown(everything)
        assert 700 < len(text.split()) < 1200
        assert "AUROC" in text
        assert "augmentations.png" in text

    def test_many_classes_show_the_worst_and_best(self):
        text = card.markdown(self.about(100))
        table = next(rows for rows in tables(text) if rows[0][0] == "class")
        assert [row[0] for row in table[1:]] == [
            f"class {i:02d}" for i in (0, 1, 2, 3, 4, 95, 96, 97, 98, 99)
        ]
        said = section(text, "Classes")
        assert said.startswith(
            "The 10 classes with the lowest and the highest F1; [classes.csv](classes.csv) has the other 90"
        )
        assert (
            "Largest of 9,900 confusions ([confusion.csv](confusion.csv)): class 00 as class 01 (1 of 3),"
            in said
        )

    def test_few_classes_are_all_there(self):
        text = card.markdown(self.about(16))
        table = next(rows for rows in tables(text) if rows[0][0] == "class")
        assert len(table) == 17
        assert "classes.csv" not in text

    def test_classes_without_scores_are_not_the_worst(self):
        found = self.about(20)
        classes = [replace(row, n=0) if i else row for i, row in enumerate(found.classes)]
        confused = [Confused("test", "class 00", "class 00", 3)]
        text = card.markdown(replace(found, classes=classes, confused=confused))
        assert [row[0] for row in next(rows for rows in tables(text) if rows[0][0] == "class")] == [
            "class", "class 00",
        ]  # fmt: skip
        assert "has the other 19" in text


HOSTILE = (
    "a|b", "_x_", "**", "`tick`", "<b>", "[a](b)", "![a](b)", "back\\|slash", "two\nlines", "# head",
    "- item", "1. item", "~~gone~~", "&amp;", "$x$", "> quote", "---|---", "```", "{{ 1 }}", "{% x %}",
    "<script>alert(1)</script>",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
class TestHostileNames:
    """A name that a user or a dataset chose is shown as it is, wherever it stands."""

    def test_escaped_name_is_shown_as_it_is(self, name):
        line = " ".join(name.split())
        assert html.unescape(shown(escaped(name))) == f"<p>{line}</p>\n"
        (row,) = re.findall("<td>(.*?)</td>", shown(f"a | b\n---|---\n{escaped(name)} | x\n"))[::2]
        assert html.unescape(row) == line

    def test_code_is_shown_as_it_is(self, name):
        assert html.unescape(shown(code(name))) == f"<p><code>{' '.join(name.split())}</code></p>\n"

    def test_card_keeps_its_form(self, name):
        plain, about = card.markdown(self.about("name")), card.markdown(self.about(name))
        tags = [re.findall("</?[a-z0-9]+", shown(text)) for text in (plain, about)]
        assert tags[0] == tags[1]
        for table in tables(about):
            assert len({len(row) for row in table}) == 1

    def about(self, name: str) -> card.Facts:
        found = facts(labels=[name, "jazz"])
        unknown = Assignment("u.wav", name, "", "unknown", -1)
        kwargs = {**found.description.kwargs, "kind": name}
        return replace(
            found,
            split=[*found.split, unknown],
            quality=[*found.quality, good("u.wav")],
            tracks=[*found.tracks, SegmentedTrack("u.wav", name, "", "u.wav", "", 10)],
            description=found.description.model_copy(update={"kwargs": kwargs}),
            source=dict.fromkeys(("name", "licence", "citation", "caveat"), name),
            scheme={"name": "file", "path": f"/home/me/{name.replace('/', '')}", "watch": "x"},
            scores=scored(SCORES) | {"baseline": {"track": SCORES, "segment": SCORES, "open_set": AREA}},
            open_set={**found.open_set, **AREA, "unknown_found": 0.4, "balanced_accuracy": 0.5},
            novelties=[Novelty(name, "unlabelled", "", name, 0.9, "yes")],
        )


def test_an_unknown_fact_is_an_error_not_a_gap():
    with pytest.raises(UndefinedError):
        card.markdown(facts(source={"name": "mine", "licence": "", "caveat": ""}))


class TestComparison:
    """The sentence about the linear baseline."""

    @pytest.mark.parametrize(
        ("accuracy", "low", "high", "p", "said"),
        [
            (0.238, 0.05, 0.4, 0.0021, "23.8 points above AT (95 % interval +5.0 to +40.0 over 40 groups, "
             "McNemar's p 0.0021): chance alone hardly explains the difference."),
            (0.038, -0.05, 0.12, 0.5, "3.8 points above AT (95 % interval -5.0 to +12.0 over 40 groups, "
             "McNemar's p 0.5): which one is better is not certain."),
            (-0.412, -0.6, -0.2, 1e-5, "41.2 points below AT (95 % interval -60.0 to -20.0 over 40 groups, "
             "McNemar's p 1e-05): chance alone hardly explains the difference."),
            (0.1, 0.02, 0.2, 0.125, "10.0 points above AT (95 % interval +2.0 to +20.0 over 40 groups, "
             "McNemar's p 0.12): which one is better is not certain."),
            (0.0, -0.1, 0.1, 1.0, "level with AT (95 % interval -10.0"),
        ],
    )  # fmt: skip
    def test_it_goes_no_further_than_the_paired_interval(self, accuracy, low, high, p, said):
        found = {"accuracy": accuracy, "accuracy_ci95_low": low, "accuracy_ci95_high": high, "p": p}
        said = said.replace("AT", "the linear baseline on the same tracks")
        assert f"The model is {said}" in card.markdown(facts(minus_baseline=found))

    def test_it_names_what_is_independent(self):
        ungrouped = [replace(track, group="") for track in facts().tracks]
        half = [replace(track, group="" if track.label == "jazz" else "x") for track in facts().tracks]
        assert "over 40 recordings, McNemar" in card.markdown(facts(tracks=ungrouped))
        assert "over 40 groups and recordings, McNemar" in card.markdown(facts(tracks=half))


class TestTraining:
    """The list of what was in effect."""

    OF_MODEL = ("model", "input", "frames", "feature")
    OF_RUN = ("made with", "content key", "intervals", "linear baseline")

    def rows(self, **train: object) -> dict[str, str]:
        about = facts(description=description(**train), n_epochs=train.get("epochs", 50))
        text = card.markdown(about).partition("## Training and settings")[2]
        return dict(re.findall("^- (.*?): (.*)$", text, re.MULTILINE))

    def test_only_settings_in_effect_have_a_row(self):
        assert set(self.rows()) == {
            *self.OF_MODEL, *self.OF_RUN,
            "optimiser", "schedule", "loss", "batch", "input scaling", "augmentation", "epochs", "seed",
        }  # fmt: skip

    def test_every_setting_in_effect_has_a_row(self):
        augment = {**SECTIONS["augment"], "mixup": 0.2, "specaugment": {"freq_masks": 2, "max_bins": 0.1}}
        augment["specaugment"] |= {"time_masks": 1, "max_frames": 0.1}
        rows = self.rows(
            optimizer="sgd", momentum=0.9, weight_decay=0.01, l1=1e-5, clip_norm=1.0, ema_decay=0.99,
            accumulate=4, precision="bf16-mixed", scaler="example", keep="last", rounds=2, epochs=100,
            schedule={"name": "cosine_restarts", "warmup_epochs": 2.0, "period_epochs": 5}
            | {"final_ratio": 0.1},
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
        assert rows["gradient norm"] == "at most 1"
        assert rows["input scaling"] == "each segment standardised"
        assert rows["precision"] == "bf16-mixed"
        assert rows["weights"] == "moving average, decay 0.99 a step"
        assert rows["epochs"].startswith("100 of at most 200 (2 rounds), stopped after 10 without")
        assert rows["epochs"].endswith("kept: epoch 3, the last")

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ({"window_s": 30.0, "windows": 1, "control": False}, "the first 30 s"),
            (
                {"window_s": 7.5, "windows": 4, "control": True},
                "up to 4 windows of 7.5 s, all on one instrument at one velocity",
            ),
        ],
    )
    def test_rendering_of_midi_has_a_row(self, how, said):
        about = description().model_copy(update={"rendering": RenderParams(**how)})
        quality = noted(facts().quality, "jazz/test0.wav", encoding="MIDI")
        assert f"\n- MIDI: {said}\n" in card.markdown(facts(description=about, quality=quality))
        assert "\n- MIDI:" not in card.markdown(facts(description=about))

    @pytest.mark.parametrize("optimizer", get_args(TrainParams.model_fields["optimizer"].annotation))
    def test_every_optimiser_has_a_name(self, optimizer):
        assert self.rows(optimizer=optimizer)["optimiser"].lower().replace("-", "").startswith(optimizer)

    def test_statistics_of_several_features_are_said_with_the_settings_of_each(self):
        rows = self.rows(given=SEVERAL, input_shape=(776, 1))
        assert "[mfcc + musicnn](../README.md#featuresh5), 776 statistics over time" in rows["input"]
        assert rows["frames"].count("every") == 1
        assert rows["feature"] == "mfcc: `mel.n_mels=64`, `n_mfcc=13`; musicnn: `layer=max_pool`"

    def test_augmentations_have_their_picture(self):
        assert "augmentations.png" not in card.markdown(facts())
        augment = {**SECTIONS["augment"], "noise": 0.1}
        assert "figures/augmentations.png" in card.markdown(facts(description=description(augment=augment)))


class TestData:
    """The section about the files and their split."""

    def test_every_file_is_accounted_for(self):
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
        said = section(text, "Data")
        assert "17 found, 1 dropped (1 decode error). Kept with a note: 1 clipped." in said
        assert "in no split: 2 excluded by the split, 1 shorter than a segment, 1 unlabelled." in said
        assert "5 of 17 files in no split: results on music like that are unknown." in text

    def test_classes_of_unequal_size(self):
        split = [
            row for row in tracks({"train": 8, "valid": 1, "test": 1}) if "jazz/train7" not in row.track_id
        ]
        said = section(card.markdown(facts(split)), "Data")
        assert "Classes in train: from 7 (jazz) to 8 tracks (blues), a ratio of 1.1." in said

    def test_classes_of_equal_size(self):
        assert "Classes in train: balanced, 30 tracks each." in card.markdown(facts())

    @pytest.mark.parametrize(
        ("scheme", "said"),
        [
            ({"name": "file", "path": "/home/me/a_b.csv", "watch": "x"}, r"file (a\_b.csv). A file gives"),
            ({"name": "published", "watch": "x"}, "Split: published. The dataset publishes the split"),
            ({"name": "stratified", "seed": 3, "watch": "x"}, "(`seed=3`). Copies of a recording"),
            ({"name": "kfold", "k": 5, "fold": 2, "watch": "x"}, "(`fold=2`, `k=5`). Tracks that share"),
        ],
    )
    def test_each_scheme_says_what_it_keeps_apart(self, scheme, said):
        text = card.markdown(facts(scheme=scheme))
        assert said in text
        assert "/home" not in text


class TestClasses:
    def test_undefined_scores_are_hyphens(self):
        classes = [ClassScores("blues", 0.0, 0.0, 0.0, 20), ClassScores("jazz", 0.0, 0.0, 0.0, 0)]
        confused = [Confused("test", "blues", "jazz", 20), Confused("train", "jazz", "blues", 9)]
        text = card.markdown(facts(classes=classes, confused=confused))
        assert "blues | - | 0.00 | 0.00 | 20\n" in text
        assert "jazz | 0.00 | - | 0.00 | 0\n" in text

    def test_without_confusions_it_says_so(self):
        text = card.markdown(facts(confused=[Confused("test", "blues", "blues", 20)]))
        assert "Every test track is predicted as its own class." in text


class TestPretrained:
    """What a feature may have heard before."""

    @pytest.mark.parametrize(
        ("dataset", "said"),
        [
            ("other", "musicnn is pre-trained on tags, sample; overlap with this music unknown."),
            (
                "sample",
                "musicnn was trained on sample, which this music is from: it may know the test tracks",
            ),
        ],
    )
    def test_it_is_a_limit(self, dataset, said):
        about = facts(description=description(given=SEVERAL))
        assert said in limits(replace(about, source={**about.source, "name": dataset}))[0]
        assert "trained on" not in " ".join(limits(facts()))


class TestLimits:
    """Each follows from the run, and is absent where it does not."""

    def test_a_run_without_faults_has_these_only(self):
        narrow = {**SCORES, "accuracy_ci95_low": 0.6, "accuracy_ci95_high": 0.65}
        found = limits(facts(scores=scored(narrow)))
        assert [line.partition(":")[0] for line in found] == [
            "The smallest class has 20 test tracks",
            "One training with one seed",
            "The validation split chose the epoch, so its scores are optimistic.",
        ]

    def said(self, about: card.Facts) -> str:
        text = "\n".join(f"- {limit}" for limit in limits(about))
        assert f"## Limits\n\n{text}\n\n## " in card.markdown(about)
        return text

    def test_a_wide_interval(self):
        assert "40 test tracks: the interval of accuracy is 12 points wide" in self.said(facts())

    def test_groups_in_two_splits_and_few_within_test(self):
        grouped = [replace(track, group=track.label) for track in facts().tracks]
        said = self.said(facts(tracks=grouped, n_units=2))
        assert "2 groups in more than one split: accuracy is optimistic." in said
        assert "The intervals are rough: only 2 groups in test." in said

    def test_unknown_groups(self):
        said = self.said(facts(tracks=[replace(track, group="") for track in facts().tracks]))
        assert "The group of 110 of 110 tracks is unknown" in said
        assert "rough" not in said

    def test_copies_count_whatever_quality_does_about_them(self):
        quality = noted(facts().quality, "jazz/test0.wav", same_as="jazz/train0.wav")
        said = self.said(facts(quality=quality))
        assert "1 recording in more than one split: accuracy is optimistic." in said
        assert "1 copy of a recording among 110 tracks." in said

    def test_midi(self):
        quality = noted(facts().quality, "jazz/test0.wav", encoding="MIDI")
        assert "1 of 110 tracks rendered from MIDI" in self.said(facts(quality=quality))

    def test_classes_missing_from_a_split(self):
        split = [
            row
            for row in tracks({"train": 2, "valid": 1, "test": 2})
            if row.split != "test" or row.label == "blues"
        ]
        said = self.said(facts(split))
        assert "No track in test, so never evaluated: jazz." in said
        assert "never learned" not in said

    def test_many_missing_classes_are_counted(self):
        labels = [f"class {i:02d}" for i in range(20)]
        per_class = {"train": 2, "valid": 1, "test": 2}
        split = [row for row in tracks(per_class, labels) if row.split != "test" or row.label == "class 00"]
        assert "class 07, class 08 and 11 more." in self.said(facts(split, labels))

    def test_the_last_epoch_was_not_chosen(self):
        assert "chose the epoch" not in self.said(facts(description=description(keep="last")))


class TestNovelty:
    """The section about new music."""

    def said(self, about: card.Facts) -> str:
        return section(card.markdown(about), "New music")

    def test_without_new_music_it_has_the_threshold(self):
        said = self.said(facts())
        assert "one minus the highest class probability" in said
        assert "Above 0.700" in said
        assert "10.0 % of the test tracks do, wrongly" in said
        assert "AUROC" not in said
        assert "figures/novelty.png" in said

    def test_embeddings_have_distances(self):
        loss = {"name": "supcon", "embedding_size": 64, "temperature": 0.1}
        of_embedding = facts(description=description(loss=loss))
        assert "distance to the nearest class prototype" in self.said(of_embedding)
        assert "supervised contrast of embeddings" in card.markdown(of_embedding)
        assert "set the temperature" in card.markdown(of_embedding)

    def test_unknown_classes_stand_beside_the_baseline(self):
        held_out = [Assignment(f"polka/{i}.wav", "polka", "", "unknown", -1) for i in range(7)]
        scores = scored(SCORES) | {"baseline": {"track": SCORES, "segment": SCORES, "open_set": AREA}}
        found = facts(
            [*tracks({"train": 30, "valid": 5, "test": 20}), *held_out],
            scores=scores,
            open_set={
                "threshold": 0.7,
                "known_accepted": 0.9,
                "unknown_found": 0.4,
                "balanced_accuracy": 0.55,
                **AREA,
                "auroc": 0.85,
            },
        )
        text, said = card.markdown(found), self.said(found)
        assert "Held out from training: 7 tracks of polka. 40.0 % of them are found new." in said
        assert "figures/novelty.png" in said
        assert "7 of classes held out as unknown" in text
        assert next(rows for rows in tables(text) if rows[0][1] == "AUROC")[1:] == [
            ["LSTM", "0.850", "0.700 to 0.900"],
            ["linear baseline", "0.800", "0.700 to 0.900"],
        ]

    def test_the_most_novel_unlabelled_tracks_are_listed(self):
        rows = [
            Novelty(f"new {i}.mid", "unlabelled", "", "jazz", 1 - i / 100, "yes" if i < 3 else "no")
            for i in range(12)
        ]
        others = [Novelty("blues/test0.wav", "test", "blues", "jazz", 0.99, "yes")]
        unlabelled = [Assignment(row.track_id, "", row.track_id, "unlabelled", -1) for row in rows]
        split = [*tracks({"train": 30, "valid": 5, "test": 20}), *unlabelled]
        said = self.said(facts(split, novelties=[*others, *rows]))
        assert "3 of 12 unlabelled tracks count as new" in said
        assert "new 9.mid | jazz | 0.910 | no" in said
        assert "new 10.mid" not in said
        assert "blues/test0" not in said
        assert "figures/novelty.png" in said
