"""How busy the machine is while a run trains: MLflow's system metrics.

MLflow's own monitor writes nothing of a training shorter than its interval, begins with a reading over no
time at all, and has disk and network, which would fill a page that is for scores.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor

INTERVAL_S = 10.0  # as MLflow's; and once at the end
PREFIX = "system/"  # what MLflow shows under System metrics


@contextmanager
def watched(client: "MlflowClient", run_id: str) -> Iterator[None]:
    """Log processor, memory and NVIDIA's GPUs (where nvidia-ml-py is installed) to a run during the block.

    If that fails, nothing more is logged; a store that does not answer is reported by what logs the scores.

    Parameters
    ----------
    client : MlflowClient
    run_id : str
        It may have such metrics already, as when its training was killed.
    """
    ended = Event()
    thread = Thread(target=_watch, args=[client, run_id, ended], daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(client: "MlflowClient", run_id: str, ended: Event) -> None:
    with suppress(Exception):
        monitors = _monitors()
        for monitor in monitors:  # shares of time are those since the reading before
            monitor.collect_metrics()
            monitor.clear_metrics()
        logged = client.get_metric_history(run_id, f"{PREFIX}cpu_utilization_percentage")
        step = max((metric.step for metric in logged), default=0)
        is_last = False
        while not is_last:
            is_last = ended.wait(INTERVAL_S)
            step += 1  # from 1 on: MLflow's page draws a metric of step 0 as a bar
            _log(client, run_id, monitors, step)


def _monitors() -> "list[BaseMetricsMonitor]":
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    monitors: list[BaseMetricsMonitor] = [CPUMonitor()]
    with suppress(ImportError, RuntimeError):  # nvidia-ml-py or the GPU is missing
        monitors.append(GPUMonitor())
    return monitors


def _log(client: "MlflowClient", run_id: str, monitors: "list[BaseMetricsMonitor]", step: int) -> None:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    for monitor in monitors:
        monitor.collect_metrics()
        found = monitor.aggregate_metrics().items()
        client.log_batch(run_id, [Metric(f"{PREFIX}{name}", value, now_ms, step) for name, value in found])
        monitor.clear_metrics()
