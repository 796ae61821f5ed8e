"""The page of `dvc plots`: whole, and told to DVC."""

import re
from pathlib import Path

import pytest
from dvc.repo import Repo

from stages import offline
from tests.synthetic import line_of

PAGE, CONFIG = Path(".dvc/plots.html"), Path(".dvc/config.local")


@pytest.fixture
def project(workspace):
    Repo.init(".", no_scm=True)
    return workspace


def test_the_page_has_vega_inside_and_room_for_plots(project):
    offline.main()
    text = PAGE.read_text("utf-8")
    assert re.findall(r"\{(?:plot_divs|refresh_tag|scripts|vega)\}", text) == ["{refresh_tag}", "{plot_divs}"]
    assert {"vega", "vegaLite", "vegaEmbed"} <= set(re.findall(r"\.(vega\w*)=\{?", text))
    assert text.count("</script>") == 2, "Vega itself has none, which would end it"
    assert "<script src" not in text


def test_dvc_is_told_where_the_page_is(project):
    offline.main()
    with Repo(".") as repo:
        assert repo.config["plots"]["html_template"] == "plots.html"  # DVC looks for it below .dvc


def test_another_page_that_a_user_has_set_stays(project):
    CONFIG.write_text("[plots]\n    html_template = mine.html\n")
    offline.main()
    assert "html_template = mine.html" in CONFIG.read_text()


def test_vega_that_is_not_installed_is_one_line_and_nothing_is_written(project, monkeypatch):
    monkeypatch.setattr(offline, "PACKAGE", "encore-has-no-such-package")
    assert "`make repro` installs it" in line_of(offline.main)
    assert not PAGE.exists()
    assert not list(Path(".dvc").glob("*plots.html*"))
    assert not CONFIG.exists()
