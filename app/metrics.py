"""Prometheus metrics: one registry per application, so that two in one process do not mix."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All that ``GET /metrics`` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pastiche_requests",
            "Requests by route, method and status; 499: the client had gone.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "pastiche_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.refusals = Counter(
            "pastiche_refusals",
            "Requests refused, by the code of the problem.",
            ["reason"],
            registry=self.registry,
        )
        self.queue_requests = Gauge(
            "pastiche_queue_requests", "Pictures under way.", registry=self.registry
        )
        self.queue_pixels = Gauge("pastiche_queue_pixels", "Their pixels.", registry=self.registry)
        self.batch_size = Histogram(
            "pastiche_batch_size",
            "Pictures per batch.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self.pixels = Counter("pastiche_pixels", "Pixels stylized.", registry=self.registry)
        self.inference_seconds = Histogram(
            "pastiche_inference_seconds",
            "Time of a batch on the device.",
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.dropped = Counter(
            "pastiche_dropped", "Batches given up because nobody waited.", registry=self.registry
        )
        self.styles = Gauge("pastiche_styles", "Styles in the library.", registry=self.registry)
        self.jobs = Gauge(
            "pastiche_jobs",
            "Styles being learned, and those of the last week, by state.",
            ["state"],
            registry=self.registry,
        )
        self.pictures = Gauge(
            "pastiche_large_pictures",
            "Large pictures that are kept, by state.",
            ["state"],
            registry=self.registry,
        )
        self.ready = Gauge("pastiche_ready", "1 once ready.", registry=self.registry)

    def observe_batch(self, pictures: int, pixels: int, seconds: float) -> None:
        """Count what the device has done at once."""
        self.batch_size.observe(pictures)
        self.pixels.inc(pixels)
        self.inference_seconds.observe(seconds)

    def count_pictures(self, by_state: Mapping[str, int]) -> None:
        """Say how many large pictures there are."""
        for state in ("queued", "running", "done", "failed", "cancelled"):
            self.pictures.labels(state).set(by_state.get(state, 0))

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
