"""The same bits on every x86-64 machine with AVX2: these settings choose the kernels, not the CPU.

Libraries choose kernels by the instructions, the brand and the number of cores of a CPU, and kernels add and
round in different orders. A setting has an effect only if it is there before its library is loaded.
"""

import os
import sys
from pathlib import Path

from stages.core.params import Params, load

OF_NUMPY = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # its exp, log and pow differ with AVX-512
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
}
OF_TORCH = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolution and LSTM
    "MKL_CBWR": "COMPATIBLE",  # products; MKL itself goes by the brand of the CPU
    "MKL_NUM_THREADS": "1",  # and torch's number of threads with it
}
# What this process was started with: other values than the pinned ones, and the number of threads.
GIVEN = {
    name: os.environ[name]
    for name, pinned in {**OF_NUMPY, **OF_TORCH, "OMP_NUM_THREADS": ""}.items()
    if os.environ.get(name, pinned) != pinned
}
FLAGS_BYTES = 1 << 13  # of /proc/cpuinfo; the first core's flags are in it


class NumericsParams(Params):
    """The `numerics` section.

    Attributes
    ----------
    exact : bool
        Whether models compute the same bits on every x86-64 machine with AVX2, on one thread; else they use
        all cores and the fastest instructions. All other stages are exact in any case.
    """

    exact: bool


_numpy_is_pinned = False


def pin_numpy() -> None:
    """Pin the kernels of numpy and scipy; call it before either is loaded."""
    global _numpy_is_pinned
    if has_avx2():
        _numpy_is_pinned = "numpy" not in sys.modules or OF_NUMPY.items() <= os.environ.items()
        os.environ.update(OF_NUMPY)


def kernels() -> str:
    """Return which kernels of numpy this process has: "pinned", or those "of this machine"."""
    return "pinned" if _numpy_is_pinned else "of this machine"


def pin_models() -> None:
    """Pin the kernels of torch if params.yaml says so; call it before torch is loaded."""
    if load("numerics", NumericsParams).exact:
        pin_torch()


def pin_torch() -> None:
    """Pin the kernels of torch; call it before torch is loaded."""
    if has_avx2():
        os.environ.update(OF_TORCH)


def has_avx2() -> bool:
    """Whether this machine is one that is promised the same bits; only Linux tells."""
    try:
        with Path("/proc/cpuinfo").open("rb") as file:
            return b" avx2 " in file.read(FLAGS_BYTES)
    except OSError:
        return False
