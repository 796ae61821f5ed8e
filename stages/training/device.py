"""Which devices models run on."""

from typing import TYPE_CHECKING

import torch

from stages.core.errors import EncoreError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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


def start(wanted: str, n_devices: int, precision: str) -> "Fabric":
    """Fabric on so many devices of a kind; with several, this process and others like it (DDP).

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
        If this machine has not so many, or not this precision.
    """
    from lightning_fabric import Fabric  # takes seconds, and evaluate needs none

    device = choose(wanted)
    if device.type == "cpu" and precision == "16-mixed":  # Fabric would take bfloat16 in silence
        raise EncoreError(
            "params.yaml: train.precision is '16-mixed', but a CPU has only 32-true, bf16-mixed"
        )
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type, n_devices)
    if n_devices > there:
        raise EncoreError(
            f"params.yaml: runtime.devices is {n_devices}, but this machine has {there} of {device.type}"
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
    """How much a device has room for; that of the CPU is the caller's to judge."""
    return 0.8 * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")
