"""Readings as the families of prometheus-client, with its own figures of the processes beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from sessiond.bootstrap.metrics.families import FAMILIES, Family, Kind
from sessiond.bootstrap.metrics.readings import Readings
from sessiond.services.measures import BOUNDS_NS

_WORKER = "worker"
_BUCKETS = (*(str(bound / 1e9) for bound in BOUNDS_NS), "+Inf")


class Exposed(Collector):
    """The *readings* of the server, and the figures of its processes by their place, None where there is but one."""

    def __init__(self, readings: Readings, processes: Mapping[int | None, int]) -> None:
        self._readings = readings
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        """Yield every family of which there is something to say."""
        for family in FAMILIES:
            found = list(self._readings.of(family))
            if found:
                yield _metric(family, found)
        yield from _of_processes(self._processes)


def _metric(family: Family, found: Iterable[tuple[Sequence[str], Sequence[float]]]) -> Metric:
    metric: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    match family.kind:
        case Kind.HISTOGRAM:
            metric = HistogramMetricFamily(family.name, family.about, labels=family.labels)
            for labels, (*counts, total) in found:
                metric.add_metric(labels, list(zip(_BUCKETS, accumulate(counts), strict=True)), total)
            return metric
        case Kind.COUNTER:
            metric = CounterMetricFamily(family.name, family.about, labels=family.labels)
        case Kind.GAUGE:
            metric = GaugeMetricFamily(family.name, family.about, labels=family.labels)
    for labels, (value,) in found:
        metric.add_metric(labels, value)
    return metric


def _of_processes(processes: Mapping[int | None, int]) -> Iterable[Metric]:
    """Return the library's figures of each process, those of a worker with its place as a label."""
    together: dict[str, Metric] = {}
    for place, pid in processes.items():
        labels = {} if place is None else {_WORKER: str(place)}
        for metric in ProcessCollector(registry=None, pid=partial(str, pid)).collect():
            family = together.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            for sample in metric.samples:
                family.add_sample(sample.name, labels, sample.value)
    return together.values()
