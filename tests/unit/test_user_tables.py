"""Tables are read as spreadsheets and people write them."""

import pytest

from stages.core.user_tables import read_pairs
from tests.synthetic import line_of

WANTED = {"a, b.wav": "hip hop", "é.wav": "jazz", "c.wav": ""}
PLAIN = 'path,label\n"a, b.wav",hip hop\né.wav,jazz\nc.wav,\n'


@pytest.fixture
def read(tmp_path):
    """Write a table and read it."""

    def read(content: str | bytes, encoding: str = "utf-8") -> dict[str, str]:
        (tmp_path / "mine.csv").write_bytes(
            content if isinstance(content, bytes) else content.encode(encoding)
        )
        return read_pairs(tmp_path / "mine.csv", "path", "label", "dataset.labels")

    return read


@pytest.mark.parametrize("separator", ",;\t|")
@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_spaces_line_ends_and_encodings_do_not_matter(read, separator, space, end, encoding):
    rows = [["path", "label"], ['"a, b.wav"', '"hip hop"'], ["é.wav", "jazz "], ["c.wav", ""]]
    text = end.join(f"{separator}{space}".join(row) for row in rows)
    assert read(text + end, encoding) == WANTED


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace("path,label", "Path,Label"),
        PLAIN.replace("path,label", " PATH , Label "),
        "\n,\n" + PLAIN.replace("é.wav", "e\u0301.wav") + " , \n\n",
        PLAIN.replace("jazz", "\u00a0jazz\t"),
        "label,note,path\nhip hop,x,\"a, b.wav\"\njazz,'y',é.wav\n,,c.wav\n",
    ],
)
def test_case_order_accents_and_empty_lines_do_not_matter(read, content):
    assert read(content) == WANTED


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("path label\na.wav jazz\n", "that is 'path label', separated by no comma, semicolon, tab or bar"),
        ("file;genre\na.wav;jazz\n", "that is 'file;genre', separated by semicolon"),
        ("path,label,Label\na.wav,jazz,rock\n", "needs the columns path and label, each once"),
        ("a.wav,jazz\nb.wav,rock\n", "that is 'a.wav,jazz', separated by comma"),
        (" \n;;\n", "is empty; it needs the columns path and label"),
        ("path;label\na.wav,jazz\n", "line 2: ends too early"),
        ("path,label\na.wav,jazz\na.wav ,Jazz\n", "gives a.wav both 'jazz' and 'Jazz'"),
        ('path,label\n"a\nb.wav",jazz\n', "line 3: has control characters"),
        ("path,label\ncaf\u00e9.wav,jazz\n".encode("latin-1"), "save it as UTF-8"),
        (b"path,label\nx\x00y,jazz\n", "mine.csv"),
    ],
)
def test_a_wrong_table_is_one_line(read, content, hint):
    line = line_of(lambda: read(content))
    assert line.startswith("dataset.labels: ")
    assert "mine.csv" in line
    assert hint in line
