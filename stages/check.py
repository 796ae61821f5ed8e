"""Check params.yaml, and that no file of yours lies inside an output, which DVC would remove."""

from stages.core.workspace import root
from stages.entry.command import run_command


def main() -> None:
    """Check what `make repro` is about to run."""
    from stages.entry.foreign import check_outputs
    from stages.entry.registry import check_params

    check_params()
    check_outputs(root())


if __name__ == "__main__":
    run_command(main)
