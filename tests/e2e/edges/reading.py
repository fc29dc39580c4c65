"""Metrics as Prometheus reads them."""

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.e2e.contract.wire import RawAnswer, fetch


def scrape(address: str) -> "Scrape":
    answer = fetch(address, "GET", "/metrics")
    assert answer.status == 200, answer
    return Scrape(answer)


class Scrape:
    """What was told at one moment."""

    def __init__(self, answer: RawAnswer) -> None:
        self.headers = answer.headers
        self.text = answer.body.decode()
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}

    @property
    def samples(self) -> Iterator[Sample]:
        for family in self.families.values():
            yield from family.samples

    def value(self, name: str, **labels: str) -> float:
        """The sum of all series that have these labels; 0 if there is none."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == f"retinue_{name}" and labels.items() <= sample.labels.items()
        )

    def has(self, name: str) -> bool:
        return any(sample.name == f"retinue_{name}" for sample in self.samples)
