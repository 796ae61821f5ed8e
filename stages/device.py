"""Which device models run on."""

import torch

from stages.errors import EncoreError


def choose(wanted: str) -> torch.device:
    """The device `wanted`, or for "auto" the first of CUDA, MPS and CPU that is there.

    Raises
    ------
    EncoreError
        If this machine has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(name for name, available in there.items() if available)
    if not there[wanted]:
        names = ", ".join(["auto", *(name for name, available in there.items() if available)])
        raise EncoreError(f"params.yaml: runtime.device is {wanted!r}, but this machine has only: {names}")
    return torch.device(wanted)
