"""Check params.yaml and the music that it names; no output, which DVC removes, may hold a file of yours."""

from stages.core.workspace import root
from stages.entry.command import run_command


def main() -> None:
    """Check what `make repro` is about to run."""
    from stages.core.params import read
    from stages.entry.foreign import check_outputs
    from stages.entry.paths import check_paths
    from stages.entry.registry import check_params

    check_params()
    check_paths({name: read(name) for name in ("dataset", "split", "features")}, root())
    check_outputs(root())


if __name__ == "__main__":
    run_command(main)
