"""Choosing devices."""

import pytest
import torch

from stages.core.errors import EncoreError
from stages.training.device import choose, free_bytes, start


def test_auto_takes_the_best_available_device():
    chosen = choose("auto").type
    if torch.cuda.is_available():
        assert chosen == "cuda"
    else:
        assert chosen == ("mps" if torch.mps.is_available() else "cpu")


def test_cpu_is_always_available():
    assert choose("cpu") == torch.device("cpu")


@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_missing_device_gives_one_line_with_the_available_ones(wanted):
    if getattr(torch, wanted).is_available():
        assert choose(wanted).type == wanted
        return
    for refuses in (lambda: choose(wanted), lambda: start(wanted, 1, "32-true")):
        with pytest.raises(EncoreError) as refused:
            refuses()
        line = str(refused.value)
        assert f"runtime.device is '{wanted}'" in line
        assert "auto" in line
        assert "cpu" in line
        assert "\n" not in line


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")
def test_too_many_devices_give_one_line():
    n_devices = torch.cuda.device_count()
    with pytest.raises(EncoreError) as refused:
        start("cuda", n_devices + 1, "32-true")
    line = str(refused.value)
    assert line.startswith(f"params.yaml: runtime.devices is {n_devices + 1}, ")
    assert line.endswith(f"but this machine has {n_devices} of cuda")


def test_float16_on_a_cpu_is_refused():
    with pytest.raises(EncoreError, match=r"train\.precision is '16-mixed', but a CPU has only"):
        start("cpu", 1, "16-mixed")


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_one_device_is_this_process_with_that_precision(precision, dtype):
    fabric = start("cpu", 1, precision)
    assert (fabric.world_size, fabric.global_rank, fabric.is_global_zero) == (1, 0, True)
    assert fabric.device == torch.device("cpu")
    layer = torch.nn.Linear(2, 2)
    with fabric.autocast():
        assert layer(torch.ones(1, 2)).dtype == dtype


def test_cpu_has_no_memory_limit():
    assert free_bytes(torch.device("cpu")) == float("inf")
    if torch.cuda.is_available():
        assert 0 < free_bytes(torch.device("cuda")) <= torch.cuda.mem_get_info()[1]
