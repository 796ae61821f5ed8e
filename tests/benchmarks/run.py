"""All benchmarks, or those that are named: `make bench`, `make bench ONLY=extraction`."""

import sys
from importlib import import_module

from stages.core.errors import EncoreError

PARTS = ("extraction", "reading", "training", "overhead")

if __name__ == "__main__":
    wanted = sys.argv[1:] or PARTS
    if unknown := sorted({*wanted} - {*PARTS}):
        sys.exit(f"error: no benchmark is called {unknown[0]}; there are {', '.join(PARTS)}")
    try:
        for name in wanted:
            # not at the top, since every worker process imports this module, too
            import_module(f"tests.benchmarks.{name}").run()
    except EncoreError as error:  # such as a folder in BENCH_AUDIO that is no dataset
        sys.exit(f"error: {error}")
