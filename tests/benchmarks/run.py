"""All benchmarks, or those that are named: `make bench`, `make bench ONLY=extraction`."""

import sys

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
    for name in wanted:
        PARTS[name]()
