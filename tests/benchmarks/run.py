"""All benchmarks, or those that are named: `make bench`, `make bench ONLY=extraction`."""

import sys

from stages.core.errors import EncoreError
from tests.benchmarks import extraction, noop, overhead, reading, training

PARTS = {
    "extraction": extraction.run,
    "reading": reading.run,
    "training": training.run,
    "noop": noop.run,
    "overhead": overhead.run,
}

if __name__ == "__main__":
    wanted = sys.argv[1:] or [*PARTS]
    if unknown := sorted({*wanted} - {*PARTS}):
        sys.exit(f"error: no benchmark is called {unknown[0]}; there are {', '.join(PARTS)}")
    try:
        for name in wanted:
            PARTS[name]()
    except EncoreError as error:  # such as a folder in BENCH_AUDIO that is no dataset
        sys.exit(f"error: {error}")
