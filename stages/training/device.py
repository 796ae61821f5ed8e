"""Which devices models run on."""

import logging
from typing import TYPE_CHECKING

import torch

from stages.core.errors import EncoreError
from stages.core.runtime import cores
from stages.training.recipe import check_precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def choose(wanted: str) -> torch.device:
    """Return the device `wanted`, or for "auto" the first of CUDA, MPS and CPU that this machine has.

    Raises
    ------
    EncoreError
        If this machine has no such device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(name for name, is_there in available.items() if is_there)
    if not available[wanted]:
        names = ", ".join(["auto", *(name for name, is_there in available.items() if is_there)])
        raise EncoreError(f"params.yaml: runtime.device is {wanted!r}, but this machine has only: {names}")
    return torch.device(wanted)


def start(wanted: str, n_devices: int, precision: str) -> "Fabric":
    """Start Fabric on one or more devices of a kind; with several, in one process for each (DDP).

    Parameters
    ----------
    wanted : str
        See `choose`.
    n_devices : int
    precision : str
        As Fabric names it.

    Raises
    ------
    EncoreError
        If this machine has fewer devices, or lacks this precision.
    """
    from lightning_fabric import Fabric  # takes seconds, and evaluate does not need it

    # on recent GPUs it advises to compute with fewer digits, at every start
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    device = choose(wanted)
    check_precision(precision, device.type)
    n_available = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type, cores())
    if n_devices > n_available:
        raise EncoreError(
            f"params.yaml: runtime.devices is {n_devices}, "
            f"but this machine has {n_available} of {device.type}"
        )
    fabric = Fabric(
        accelerator=device.type,
        devices=n_devices,
        strategy="ddp" if n_devices > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def free_bytes(device: torch.device) -> float:
    """Return how many bytes a GPU has room for; no limit on other devices."""
    return 0.8 * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")
