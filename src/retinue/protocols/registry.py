"""Wire protocols by name."""

from collections.abc import Iterable, Iterator

from retinue.domain.errors import FieldError, InvalidRequest
from retinue.protocols.base import Protocol


class ProtocolRegistry:
    def __init__(self, protocols: Iterable[Protocol]) -> None:
        self._protocols = {protocol.name: protocol for protocol in protocols}

    def __iter__(self) -> Iterator[Protocol]:
        return iter(self._protocols.values())

    def get(self, name: str) -> Protocol:
        """Look a protocol up.

        Raises:
            InvalidRequest: `unknown_protocol`; the detail lists those that exist.
        """
        if protocol := self._protocols.get(name):
            return protocol
        detail = f"The protocol must be one of: {', '.join(sorted(self._protocols))}."
        raise InvalidRequest(detail, code="unknown_protocol", errors=(FieldError(parameter="protocol", detail=detail),))
