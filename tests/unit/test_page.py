"""The model card as one HTML page."""

import base64
import re
from pathlib import Path

import pytest

from stages.tracking.page import page

PNG = b"\x89PNG picture"
CARD = """\
# MLP on <sample>

![Test tracks](figures/confusion_test.png)

class | F1
---|---
a\\|b | 0.50

[classes.csv](classes.csv), [a paper](https://example.org/a?b=1&c=2), `a | b`, <script>alert(1)</script>
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "confusion_test.png").write_bytes(PNG)
    (tmp_path / "README.md").write_text(CARD, "utf-8")
    return tmp_path / "README.md"


def test_page_has_its_pictures_inside(card):
    (source,) = re.findall('<img src="(.*?)"', page(card))
    assert source == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def test_page_links_to_no_file_beside_it(card):
    assert re.findall('href="(.*?)"', page(card)) == ["https://example.org/a?b=1&amp;c=2"]
    assert "classes.csv" in page(card)


def test_page_shows_tables_and_no_html_of_others(card):
    text = page(card)
    assert "<td>a|b</td>" in text
    assert "<h1>MLP on &lt;sample&gt;</h1>" in text
    assert "<script" not in text


def test_missing_picture_is_an_error(card):
    (card.parent / "figures" / "confusion_test.png").unlink()
    with pytest.raises(FileNotFoundError):
        page(card)
