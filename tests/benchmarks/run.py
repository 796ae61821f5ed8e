"""All benchmarks; `make bench` prints what they measure."""

from tests.benchmarks import extraction, noop, overhead, reading, training

if __name__ == "__main__":
    extraction.run()
    reading.run()
    training.run()
    noop.run()
    overhead.run()
