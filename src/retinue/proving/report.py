"""What a proof has come to."""

from collections.abc import Iterator, Sequence

import msgspec

from retinue.proving.attacks import Finding
from retinue.proving.timing import Timing


class Report(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    operations: int
    """All that the server has."""
    attackers: Sequence[str]
    attacks: int
    """Each asks for somebody else's thing, and for one that exists nowhere."""
    requests: int
    held_back: int
    """Attacks with wrong credentials that the server's limit of wrong credentials has left without a judgement."""
    findings: Sequence[Finding]
    timings: Sequence[Timing] = ()

    @property
    def is_clean(self) -> bool:
        return not self.findings

    def as_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode({"is_clean": self.is_clean, **msgspec.structs.asdict(self)}))

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.url}: {self.operations} operations, {self.attacks} attacks, {self.requests} requests"
        yield f"attackers: {', '.join(self.attackers)}"
        if self.held_back:
            yield f"{self.held_back} attacks with wrong credentials were held back by the server's limit of these"
        for finding in self.findings:
            yield ""
            yield f"{finding.operation}: {finding.attacker}, with another's {finding.places}: {finding.what}"
            yield f"  {finding.repeat}"
            if finding.compare:
                yield f"  {finding.compare}"
        yield from self._timings()
        yield ""
        yield "No difference was found." if self.is_clean else f"{len(self.findings)} differences."

    def _timings(self) -> Iterator[str]:
        if not self.timings:
            return
        yield ""
        yield "Medians in milliseconds, for another's thing and for one that exists nowhere:"
        for timing in sorted(self.timings, key=lambda timing: timing.chance):
            mark = "  suspicious" if timing.is_suspicious else ""
            times = f"{timing.foreign_ms:8.2f} {timing.missing_ms:8.2f}  p={timing.chance:.3f}"
            yield f"{times}  {timing.operation}, {timing.places}{mark}"
