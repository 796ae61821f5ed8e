"""Verdicts: none is lost or torn; what two reviewers agree on, and what the accuracy would be, is right."""

import csv
import errno
import itertools
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import verdicts
from stages.correcting.agreement import agreement, cohens_kappa
from stages.correcting.journal import Journal
from stages.correcting.verdict import COLUMNS, HEADER, VERDICTS, Verdict, current, line_of, read_verdicts
from stages.evaluation.corrected import Predicted, summary
from stages.evaluation.intervals import accuracy_interval
from tests import disk_faults
from tests.synthetic import REPO
from tests.synthetic import line_of as refusal

pytestmark = pytest.mark.slow

TIME = "2026-11-29T05:36:48Z"


def verdict(track_id: str = "blues.00001", said: str = "label_wrong", **others: str) -> Verdict:
    was = others.get("was", "blues")
    label = {"label_wrong": "jazz", "ambiguous": "", "broken_audio": ""}.get(said, was)
    values = {
        "time": TIME,
        "track_id": track_id,
        "path": f"blues/{track_id}.wav",
        "sha256": "0" * 64,
        "verdict": said,
        "label": label,
        "was": "blues",
        "predicted": "jazz",
        "model": "CNN 0123abcd",
        "reviewer": "anna",
    }
    return Verdict(**(values | others))


@pytest.fixture
def journal(tmp_path):
    """A journal that does not exist yet, in a folder that does not either."""
    return Journal.of("anna", tmp_path / "data/verdicts")


def filled(journal: Journal, n: int = 3) -> bytes:
    """Append some verdicts; return the file."""
    for number in range(n):
        assert journal.append(verdict(f"blues.{number:05d}")) == ""
    return journal.path.read_bytes()


class TestJournal:
    """Rows are appended, and read as they were given."""

    def test_a_row_a_verdict_below_one_header(self, journal):
        assert journal.rows() == []
        written = [verdict(), verdict('a, "b".wav', "ambiguous"), verdict("ж.wav", "label_right")]
        for one in written:
            journal.append(one)
        assert journal.rows() == written
        lines = journal.path.read_bytes().split(b"\n")
        assert lines[0] == b"time,track_id,path,sha256,verdict,label,was,predicted,model,reviewer"
        assert lines[1].startswith(b"2026-11-29T05:36:48Z,blues.00001,blues/blues.00001.wav,0000")
        assert lines[4:] == [b""]

    def test_the_last_verdict_about_a_track_counts_and_may_be_withdrawn(self, journal):
        last = verdict("a", "ambiguous")
        for one in (verdict("a"), verdict("b"), last, verdict("b", "withdrawn"), verdict("c")):
            journal.append(one)
        assert journal.current() == {"a": last, "c": verdict("c")}
        assert len(journal.rows()) == 5

    def test_verdicts_about_other_music_do_not_count(self, journal):
        for digest in ("1", "2"):
            journal.append(verdict("a", sha256=digest, label=f"label {digest}"))
        journal.append(verdict("b", sha256="3"))
        assert {row.label for row in journal.current({"a": "1", "b": "4"}).values()} == {"label 1"}
        by_hand = verdict("c", sha256="")
        assert current([by_hand], {"c": "5"}) == {"c": by_hand}
        assert current([by_hand], {"d": "5"}) == {}

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.lists(
                st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20),
                min_size=5,
                max_size=5,
            ),
            min_size=1,
            max_size=4,
        )
    )
    def test_any_names_are_read_as_they_were_written(self, rows):
        written = [
            verdict(f"{track_id}.wav", "ambiguous", path=path, was=was, predicted=predicted, model=model)
            for track_id, path, was, predicted, model in rows
        ]
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal.of("anna", Path(folder))
            for one in written:
                journal.append(one)
            assert journal.rows() == written

    def test_a_label_is_spelled_one_way(self, journal):
        journal.append(verdict(label=" Mu\u0301sica "))
        assert journal.rows()[0].label == unicodedata.normalize("NFC", "M\u00fasica")

    @pytest.mark.parametrize(
        ("wrong", "hint"),
        [
            (verdict(label=""), "label_wrong of blues.00001 needs a label"),
            (verdict(label="  "), "needs a label"),
            (verdict(label="blues "), "is 'blues', as it was"),
            (verdict(label="x" * 81), "has 81 characters; 80 are the most"),
            (verdict(label="hip\u200bhop"), "characters that cannot be shown"),
            (verdict(label="a\nb"), "characters that no line can hold"),
            (verdict(track_id="a\rb"), "track_id is 'a\\rb'"),
            (verdict(path="\udcff.wav"), "path is"),
            (verdict(track_id=""), "track_id is empty"),
            (
                verdict(said="wrong"),
                "'wrong', should be label_wrong, ambiguous, label_right, broken_audio or w",
            ),
            (verdict(said="ambiguous", label="jazz"), "has the label 'jazz', should have none"),
            (verdict(said="label_right", label="jazz"), "the verdict is label_wrong then"),
            (verdict(said="label_right", was="", label=""), "needs a label"),
            (verdict(time="2026-11-29 05:36"), "should be UTC with seconds"),
            (verdict(time="2026-11-29T05:36:48+01:00"), "should be UTC with seconds"),
            (verdict(reviewer="bob"), "is the journal of anna, not of bob"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_is_not_allowed_is_one_line_and_no_file(self, journal, wrong, hint):
        assert hint in refusal(lambda: journal.append(wrong))
        assert not journal.path.exists()

    @pytest.mark.parametrize("name", ["", "../anna", "a b", "a.b", "-a", "é", "x" * 41, "a\n", "a/b"])
    def test_a_reviewer_cannot_name_another_place(self, name, tmp_path):
        assert "reviewer" in refusal(lambda: Journal.of(name, tmp_path))


class TestTornLines:
    """What a kill or a power failure leaves of the last line is found, cut off and said."""

    def test_wherever_the_last_line_is_torn(self, journal):
        before = filled(journal, 2)
        line = line_of(verdict('ж, "x".wav', label="Mú"))
        for n in range(1, len(line)):
            for zeros in (b"", b"\0" * 5):
                journal.path.write_bytes(before + line[:n] + zeros)
                is_whole = n == len(line) - 1 and not zeros  # its end alone is missing: an editor may do that
                assert len(journal.rows()) == 2 + is_whole
                note = journal.append(verdict("next"))
                assert ("cut off a last line that was never finished: '2" in note) is not is_whole
                kept = line if is_whole else b""
                assert journal.path.read_bytes() == before + kept + line_of(verdict("next"))

    def test_zeros_of_a_power_failure_are_no_line(self, journal):
        before = filled(journal)
        journal.path.write_bytes(before + b"\0" * 4096)
        assert len(journal.rows()) == 3
        assert "cut off" in journal.mend()
        assert journal.path.read_bytes() == before

    def test_wherever_the_first_line_is_torn(self, journal):
        journal.path.parent.mkdir(parents=True)
        for n in range(len(HEADER)):
            for zeros in (b"", b"\0" * 5):
                journal.path.write_bytes(HEADER[:n].encode() + zeros)
                assert journal.rows() == []
                note = journal.append(verdict())
                assert bool(note) is bool(n or zeros)
                assert journal.path.read_bytes() == f"{HEADER}\n".encode() + line_of(verdict())
                journal.path.unlink()

    def test_mending_what_is_whole_says_nothing_and_changes_nothing(self, journal):
        assert journal.mend() == ""
        assert not journal.path.exists()
        before = filled(journal)
        assert journal.mend() == ""
        assert journal.path.read_bytes() == before


class TestEditedFiles:
    """A person has edited the file: no row is lost, or one line says what to do."""

    @pytest.mark.parametrize(
        "edit",
        [
            lambda text: text.rstrip("\n"),
            lambda text: text.replace("\n", "\r\n"),
            lambda text: text.replace("\n", "\r\n").rstrip("\r\n"),
            lambda text: text.replace("\n", "\r\n").rstrip("\n"),
            lambda text: "\ufeff" + text,
            lambda text: text + "\n\n",
            lambda text: text.replace("\n", "\n\n"),
        ],
    )
    def test_line_ends_and_marks_do_not_matter(self, journal, edit):
        filled(journal)
        before = journal.rows()
        text = journal.path.read_text("utf-8")
        journal.path.write_bytes(edit(text).encode())
        assert [row.track_id for row in journal.rows()] == [row.track_id for row in before]
        assert journal.append(verdict("next")) == ""
        assert [row.label for row in journal.rows()] == ["jazz"] * 4
        assert journal.rows()[-1] == verdict("next")

    def test_a_header_alone_may_lack_its_end(self, journal):
        journal.path.parent.mkdir(parents=True)
        journal.path.write_text(HEADER)
        assert journal.rows() == []
        journal.append(verdict())
        assert journal.rows() == [verdict()]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("separator", ";\t|")
    def test_other_layouts_are_read_and_never_written(self, journal, separator, encoding):
        filled(journal)
        rows = journal.rows()
        names = [*reversed(COLUMNS), "note"]
        lines = [[*(asdict(row)[name] for name in names[:-1]), "x"] for row in rows]
        text = "\n".join(separator.join(line) for line in [names, *lines])
        journal.path.write_text(text, encoding)
        assert journal.rows() == rows
        before = journal.path.read_bytes()
        assert "its columns are not time,track_id" in refusal(lambda: journal.append(verdict()))
        assert journal.path.read_bytes() == before

    def test_three_columns_are_enough_to_be_read(self, tmp_path):
        table = tmp_path / "mine.csv"
        table.write_text("Verdict;Label;track_id\nambiguous;;a.wav\nlabel_wrong; Jazz;b.wav\n")
        assert [(row.track_id, row.verdict, row.label) for row in read_verdicts(table)] == [
            ("a.wav", "ambiguous", ""),
            ("b.wav", "label_wrong", "Jazz"),
        ]

    def test_a_note_at_the_end_is_not_cut_off(self, journal):
        before = filled(journal) + b"ask bob about these"
        journal.path.write_bytes(before)
        assert "'ask bob about these', is no verdict and has no end" in refusal(
            lambda: journal.append(verdict())
        )
        assert journal.path.read_bytes() == before

    @pytest.mark.parametrize(
        ("old", "new", "hint"),
        [
            ("label_wrong", "wrong", "line 2: verdict is 'wrong'"),
            (",jazz,blues", ",,blues", "line 2: label_wrong of blues.00000 needs a label"),
            ("blues.00000,", ",", "line 2: "),
            (",anna", "", "line 2: has 9 columns, should be 10"),
            (TIME, f"{TIME},x", "line 2: has 11 columns, should be 10"),
            ("label_wrong", "ambiguous", "line 2: ambiguous of blues.00000 has the label 'jazz'"),
            (TIME, "\udcff", "save it as UTF-8"),
        ],
    )
    def test_a_row_that_is_no_verdict_is_named(self, journal, old, new, hint):
        filled(journal)
        text = journal.path.read_text("utf-8").replace(old, new, 1)
        journal.path.write_bytes(text.encode("utf-8", "surrogateescape"))
        line = refusal(journal.rows)
        assert str(journal.path) in line
        assert hint in line

    def test_a_file_that_an_editor_has_replaced_is_appended_to(self, journal):
        before = filled(journal)
        with journal._opened(create=False):
            other = journal.path.with_name("other")
            other.write_bytes(before)
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(journal.append, verdict("next"))
                other.replace(journal.path)
        assert waiting.result() == ""
        assert [row.track_id for row in journal.rows()][-1] == "next"
        assert len(journal.rows()) == 4

    def test_no_file_can_be_made(self, tmp_path):
        (tmp_path / "verdicts").write_text("a file")
        line = refusal(lambda: Journal.of("anna", tmp_path / "verdicts").append(verdict()))
        assert "the verdict is not written" in line
        (tmp_path / "anna.csv").mkdir()
        line = refusal(lambda: Journal.of("anna", tmp_path).append(verdict()))
        assert "Is a directory" in line


PROGRAM = """
import json, sys
from pathlib import Path
from stages.correcting.journal import Journal
from stages.correcting.verdict import Verdict

name, path, n, values = sys.argv[1:]
journal = Journal(Path(path), "anna")
for number in range(int(n)):
    journal.append(Verdict(**(json.loads(values) | {"track_id": f"{name}.{number}"})))
    print(number, flush=True)
"""


def start(journal: Journal, name: str, n: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", PROGRAM, name, str(journal.path), str(n), json.dumps(asdict(verdict()))]
    return subprocess.Popen(words, cwd=REPO, stdout=subprocess.PIPE, text=True)


class TestProcesses:
    """Real processes append: they are killed, or there are many of them."""

    def test_a_killed_process_has_written_what_it_said_and_nothing_in_part(self, journal):
        chance = random.Random(0)
        said = []
        for attempt in range(4):
            with start(journal, f"run{attempt}", 10**6) as process:
                lines = [process.stdout.readline() for _ in range(chance.randint(1, 60))]
                process.send_signal(signal.SIGKILL)
                lines += [line for line in process.stdout if line.endswith("\n")]
            said += [f"run{attempt}.{line.strip()}" for line in lines]
            assert process.returncode == -signal.SIGKILL
        there = [row.track_id for row in journal.rows()]
        assert len(set(there)) == len(there)
        assert [track_id for track_id in there if track_id in set(said)] == said
        assert len(there) <= len(said) + 4, "a row that was written and not yet said, for each process"

    def test_a_writer_waits_until_another_one_has_ended(self, journal):
        before, line = filled(journal), line_of(verdict("slow"))
        with ThreadPoolExecutor(1) as pool:
            with journal._opened(create=False) as file:
                os.write(file, line[:50])
                waiting = pool.submit(journal.append, verdict("next"))
                with pytest.raises(TimeoutError):
                    waiting.result(timeout=0.3)  # it would take the first half for torn, and cut it off
                os.write(file, line[50:])
            assert waiting.result() == ""
        assert journal.path.read_bytes() == before + line + line_of(verdict("next"))

    def test_many_writers_tear_and_lose_no_line(self, journal):
        names, n = ("a", "b", "c"), 60
        processes = [start(journal, name, n) for name in names]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: journal.append(verdict(f"thread.{number}")), range(n)))
        for process in processes:
            with process:
                process.communicate()
            assert process.returncode == 0
        there = [row.track_id for row in journal.rows()]
        assert Counter(there) == {f"{name}.{number}": 1 for name in (*names, "thread") for number in range(n)}
        for name in names:
            assert [each for each in there if each.startswith(f"{name}.")] == [
                f"{name}.{number}" for number in range(n)
            ]
        assert journal.path.read_text("utf-8").count("track_id") == 1


@pytest.mark.skipif(not disk_faults.is_possible(), reason="this system cannot refuse system calls (seccomp)")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize("torn", [b"", b"2026-11-29T05:3"])
def test_a_failing_disk_leaves_the_file_as_it_was(tmp_path: Path, error: int, torn: bytes) -> None:
    journal = Journal.of("anna", tmp_path / "verdicts")
    before = filled(journal, 2)

    def work() -> None:
        try:
            journal.append(verdict("new"))
        except Exception as refused:
            sys.exit(f"{type(refused).__name__}: {refused}")

    with disk_faults.FailingDisk(tmp_path, work) as disk:
        for n in itertools.count(1):
            journal.path.write_bytes(before + torn)
            ended = disk.run(n, error)
            what = f"call {n}, {ended.calls}: {ended.output}"
            if len(ended.calls) < n:
                break
            assert ended.output.startswith("EncoreError: "), what
            assert "the verdict is not written: " in ended.output, what
            assert ended.output.count("\n") == 1, what
            assert journal.path.read_bytes() in (before, before + torn), what
    assert ended.status == 0, ended.output
    assert n > 3, "a write and two flushes, at least"
    assert journal.path.read_bytes() == before + line_of(verdict("new"))


def _append_in_little_room(journal: Journal, room: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = journal.path.stat().st_size if journal.path.exists() else 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, size + room))
    try:
        journal.append(verdict("new"))
    except Exception as refused:
        sys.exit(0 if "File too large; the file is as before" in str(refused) else 2)
    sys.exit(1)


@pytest.mark.parametrize("n_before", [0, 2])
@pytest.mark.parametrize("room", [0, 1, 60, 100])
def test_a_line_that_is_written_in_part_is_cut_off(journal, n_before, room):
    """The kernel takes what there is room for: a short write, as on a disk that fills up."""
    before = filled(journal, n_before) if n_before else b""
    process = multiprocessing.get_context("fork").Process(target=_append_in_little_room, args=(journal, room))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert journal.path.read_bytes() == before
    journal.append(verdict("new"))
    assert journal.rows()[-1] == verdict("new")
    assert len(journal.rows()) == n_before + 1


def direct_kappa(table: np.ndarray) -> float:
    share = table / table.sum()
    expected = share.sum(axis=0) @ share.sum(axis=1)
    return float((np.trace(share) - expected) / (1 - expected))


class TestAgreement:
    """Cohen's kappa is that of the books."""

    @pytest.mark.parametrize(
        ("table", "kappa", "error"),
        [
            # Fleiss, Cohen & Everitt, 1969, table 1: n = 200, kappa .429, its variance .002885
            ([[106, 10, 4], [22, 28, 10], [2, 12, 6]], 0.4286, 0.002885**0.5),
            # Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions, 2003, table 18.1
            ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.6765, 0.0877),
        ],
    )
    def test_published_examples(self, table, kappa, error):
        assert cohens_kappa(np.array(table)) == (
            pytest.approx(kappa, abs=5e-5),
            pytest.approx(error, abs=5e-5),
        )

    def test_by_hand(self):
        # 10 tracks, 7 alike: .7; by chance .5 * .6 + .5 * .4 = .5; kappa = .2 / .5
        kappa, _ = cohens_kappa(np.array([[4, 1], [2, 3]]))
        assert kappa == pytest.approx(0.4)

    def test_the_error_is_about_that_of_the_jackknife(self):
        chance = np.random.default_rng(0)
        for _ in range(20):
            table = chance.multinomial(300, chance.dirichlet(np.ones(16))).reshape(4, 4)
            kappa, error = cohens_kappa(table)
            assert kappa == pytest.approx(direct_kappa(table))
            without = np.array(
                [
                    direct_kappa(table - np.eye(16, dtype=int)[cell].reshape(4, 4))
                    for cell in np.flatnonzero(table)
                ]
            )
            weight = table.ravel()[np.flatnonzero(table)]
            mean = np.average(without, weights=weight)
            jackknife = np.sqrt(299 / 300 * (weight @ np.square(without - mean)))
            assert error == pytest.approx(jackknife, rel=0.05)

    @staticmethod
    def of(*said: tuple[str, str]):
        first = {str(n): verdict(str(n), one) for n, (one, _) in enumerate(said)}
        second = {str(n): verdict(str(n), other, reviewer="bob") for n, (_, other) in enumerate(said)}
        return agreement(first, second)

    def test_only_what_both_have_judged_of_the_same_music_is_compared(self):
        first = [verdict("a"), verdict("b"), verdict("c"), verdict("d", sha256="1"), verdict("e", sha256="")]
        second = [
            verdict("a", "ambiguous"),
            verdict("c"),
            verdict("d", sha256="2"),
            verdict("e"),
            verdict("f"),
        ]
        found = agreement(current(first), current([*second, verdict("c", "withdrawn")]))
        assert (found.n, found.n_other_music, found.observed) == (2, 1, 0.5)
        assert found.table[0] == [1, 1, 0, 0]
        assert [one.track_id for one in found.differences] == ["a"]

    def test_labels_that_differ_are_named_and_the_verdict_is_the_same(self):
        first = current([verdict("a"), verdict("b"), verdict("c", "label_right")])
        second = current([verdict("a", label="pop"), verdict("b"), verdict("c", "label_right")])
        found = agreement(first, second)
        assert found.observed == 1
        assert (found.n_both_wrong, found.n_same_label) == (2, 1)
        assert [(one.first_label, one.second_label) for one in found.differences] == [("jazz", "pop")]

    def test_without_any_track_nothing_is_defined(self):
        found = agreement({}, {})
        assert (found.n, found.observed, found.kappa, found.kappa_ci95) == (0, None, None, None)

    def test_one_verdict_alone_has_no_kappa(self):
        found = self.of(*[("label_right", "label_right")] * 5)
        assert (found.observed, found.kappa, found.kappa_ci95) == (1, None, None)

    def test_full_agreement_has_no_interval(self):
        found = self.of(*[(said, said) for said in VERDICTS] * 3)
        assert (found.kappa, found.kappa_ci95) == (1, None)

    def test_the_interval_stays_within_bounds(self):
        found = self.of(
            ("label_right", "ambiguous"), ("ambiguous", "label_right"), ("ambiguous", "ambiguous")
        )
        low, high = found.kappa_ci95
        assert -1 <= low <= found.kappa <= high <= 1

    def test_it_is_json(self):
        found = self.of(("label_wrong", "ambiguous"), ("ambiguous", "ambiguous"))
        assert json.loads(json.dumps(asdict(found), allow_nan=False)) == asdict(found)


def predictions(n_right: int, n_wrong: int) -> list[Predicted]:
    right = [Predicted(f"right{n}", f"artist {n % 4}", "blues", "blues") for n in range(n_right)]
    return right + [Predicted(f"wrong{n}", f"artist {n % 3}", "blues", "jazz") for n in range(n_wrong)]


class TestSummary:
    """What the accuracy would be."""

    def test_each_verdict_does_what_it_says(self):
        said = [
            verdict("wrong0"),  # jazz it is: right now
            verdict("wrong1", label="pop"),  # still wrong
            verdict("wrong2", "ambiguous"),
            verdict("wrong3", "label_right"),
            verdict("right0"),  # wrong now
            verdict("right1", "broken_audio"),
            verdict("elsewhere"),
        ]
        tracks = predictions(6, 5)
        found = summary(current(said), tracks)
        assert (found.before.n, found.before.accuracy) == (11, 6 / 11)
        assert (found.after.n, found.after.accuracy) == (9, 5 / 9)
        assert asdict(found.wrong) == {
            "n": 5, "label_wrong": 2, "ambiguous": 1, "label_right": 1, "broken_audio": 0, "not_judged": 1
        }  # fmt: skip
        assert asdict(found.right) == {
            "n": 6, "label_wrong": 1, "ambiguous": 0, "label_right": 0, "broken_audio": 1, "not_judged": 4
        }  # fmt: skip
        assert (found.n_elsewhere, found.n_known) == (1, 0)
        units = np.array([track.unit for track in tracks])
        correct = np.array([track.label == track.predicted for track in tracks])
        assert found.before.ci95 == [*accuracy_interval(correct, units)]
        assert json.loads(json.dumps(asdict(found), allow_nan=False)) == asdict(found)

    @pytest.mark.parametrize("said", VERDICTS)
    def test_verdicts_on_wrong_predictions_never_lower_the_accuracy(self, said):
        before = summary({}, predictions(5, 5)).before.accuracy
        assert summary(current([verdict("wrong0", said)]), predictions(5, 5)).after.accuracy >= before
        assert summary(current([verdict("right0", said)]), predictions(5, 5)).after.accuracy <= before

    def test_the_bias_is_said_until_as_large_a_share_of_the_right_ones_is_judged(self):
        wrong = [verdict(f"wrong{n}", "label_right") for n in range(2)]
        right = [verdict(f"right{n}", "label_right") for n in range(4)]
        found = [summary(current([*wrong, *right[:n]]), predictions(8, 4)) for n in range(5)]
        assert [bool(one.bias) for one in found] == [True, True, True, True, False]
        assert found[1].bias.startswith("2 of 4 wrong predictions were judged, but 1 of 8 right ones: ")
        assert summary({}, predictions(8, 4)).bias == ""
        assert summary(current(right), predictions(8, 0)).bias == ""

    def test_a_label_that_the_evaluation_has_already_is_counted(self):
        assert summary(current([verdict("wrong0", was="pop", label="blues")]), predictions(1, 1)).n_known == 1

    def test_no_track_is_left(self):
        found = summary(current([verdict("right0", "ambiguous")]), predictions(1, 0))
        assert (found.after.n, found.after.accuracy, found.after.ci95) == (0, None, None)


class TestCommand:
    """`encore verdicts`."""

    @pytest.fixture
    def said(self, workspace, monkeypatch, capsys):
        """Run the command; return what it prints."""

        def run(*words: str) -> str:
            monkeypatch.setattr(sys, "argv", ["verdicts", *words])
            verdicts.main()
            return capsys.readouterr().out

        return run

    @pytest.fixture
    def judged(self, workspace):
        """Two reviewers, and an evaluation."""
        for reviewer, of_wrong in (("anna", "label_wrong"), ("bob", "ambiguous")):
            journal = Journal.of(reviewer)
            journal.append(verdict("wrong0", of_wrong, reviewer=reviewer))
            journal.append(verdict("wrong1", "label_right", reviewer=reviewer))
        Path("data/evaluation").mkdir()
        with Path("data/evaluation/predictions.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["track_id", "unit", "label", "predicted", "baseline", "blues", "jazz"])
            for track in predictions(6, 4):
                table.writerow([*asdict(track).values(), "blues", "0.500000", "0.500000"])

    def test_without_verdicts_it_says_how_to_make_some(self, said):
        assert said() == "no verdicts in data/verdicts yet; `encore serve` opens a page to listen and judge\n"
        assert json.loads(said("--json")) == {"verdicts": []}
        assert "`encore serve`" in refusal(lambda: said("anna"))

    def test_all_reviewers_have_a_summary(self, said, judged):
        printed = said()
        assert "anna: 2 tracks judged\n  accuracy 0.600 (" in printed
        assert "; with the verdicts 0.700 (" in printed
        assert "bob: 2 tracks judged\n  accuracy 0.600 (" in printed
        assert "; with the verdicts 0.667 (" in printed
        assert printed.count("  bias: 2 of 4 wrong predictions were judged, but 0 of 6 right ones: ") == 2

    def test_one_reviewer_has_a_list(self, said, judged):
        assert said("anna").endswith("\n\n  wrong0  blues → jazz\n")
        assert said("data/verdicts/bob.csv").endswith("\n\n  wrong0  blues → ambiguous\n")
        document = json.loads(said("anna", "--json"))["verdicts"][0]
        assert (document["reviewer"], document["n_verdicts"]) == ("anna", 2)
        assert document["summary"]["after"]["accuracy"] == 0.7
        assert [row["track_id"] for row in document["corrected"]] == ["wrong0"]

    def test_two_reviewers_are_compared(self, said, judged):
        printed = said("anna", "bob")
        assert "anna and bob have judged 2 tracks in common" in printed
        assert "the same verdict: 0.500; Cohen's kappa: 0.333 (" in printed
        assert "wrong0  label wrong (jazz) / ambiguous" in printed
        assert json.loads(said("anna", "bob", "--json"))["kappa"] == pytest.approx(1 / 3)

    def test_a_slip_is_explained(self, said, judged):
        assert "no such reviewer or file; there are: anna, bob; did you mean anna?" in refusal(
            lambda: said("ana")
        )
        assert "cannot read none.csv" in refusal(lambda: said("none.csv"))
        with pytest.raises(SystemExit):
            said("a", "b", "c")

    def test_without_an_evaluation_the_verdicts_are_counted(self, said, workspace):
        Journal.of("anna").append(verdict())
        assert "nothing is evaluated yet" in said()
