"""Tables are read as they were written."""

import dataclasses

import pytest

from stages.core.tables import Assignment, Epoch, RawTrack, read_rows, write_plain_rows, write_rows

NAMES = ["plain", "a,b", 'quoted "name"', "Сергей/Песня №1.wav", "two\nlines", " spaces ", ""]


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_read_as_written(tmp_path, name):
    rows = [
        RawTrack(track_id=name, path=name, label="rock", group="", sha256="0" * 64, bytes=12, source="folder")
    ]
    write_rows(tmp_path / "rows.csv", rows, RawTrack)
    assert read_rows(tmp_path / "rows.csv", RawTrack) == rows


def test_types_are_read_as_written(tmp_path):
    rows = [Assignment("a", "rock", "a", "train", -1), Assignment("b", "", "b", "unlabelled", 3)]
    write_rows(tmp_path / "rows.csv", rows, Assignment)
    assert read_rows(tmp_path / "rows.csv", Assignment) == rows


def test_floats_have_six_digits_and_ints_all(tmp_path):
    rows = [Epoch(123456789, 29.98765432, 1 / 3, 2.0, 1e-9, 0.0)]
    write_rows(tmp_path / "rows.csv", rows, Epoch)
    _, line = (tmp_path / "rows.csv").read_text("utf-8").splitlines()
    assert line.rpartition(",")[0] == "123456789,29.9877,0.333333,2,1e-09,0"
    write_plain_rows(tmp_path / "rows.csv", rows, Epoch)
    assert (tmp_path / "rows.csv").read_text("utf-8").splitlines()[1] == line.rpartition(",")[0]


def test_an_empty_table_has_a_header(tmp_path):
    write_rows(tmp_path / "rows.csv", [], Epoch)
    header = ",".join(field.name for field in dataclasses.fields(Epoch))
    assert (tmp_path / "rows.csv").read_bytes() == header.encode() + b",crc32\n"
    assert read_rows(tmp_path / "rows.csv", Epoch) == []
