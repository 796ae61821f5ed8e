"""Which device models run on."""

import pytest
import torch

from stages.device import choose
from stages.errors import EncoreError


def test_auto_takes_the_best_that_is_there():
    chosen = choose("auto").type
    if torch.cuda.is_available():
        assert chosen == "cuda"
    else:
        assert chosen == ("mps" if torch.mps.is_available() else "cpu")


def test_cpu_is_always_there():
    assert choose("cpu") == torch.device("cpu")


@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_a_device_that_is_not_there_gives_one_line_with_those_that_are(wanted):
    if getattr(torch, wanted).is_available():
        assert choose(wanted).type == wanted
        return
    with pytest.raises(EncoreError) as refused:
        choose(wanted)
    line = str(refused.value)
    assert f"runtime.device is '{wanted}'" in line
    assert "auto" in line
    assert "cpu" in line
    assert "\n" not in line
