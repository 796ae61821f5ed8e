"""All benchmarks; `make bench` prints what they measure."""

from tests.benchmarks import extraction, noop

if __name__ == "__main__":
    extraction.run()
    noop.run()
