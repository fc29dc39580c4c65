"""A secret in memory, for as short as it is needed."""


class Secret:
    """Text that shows itself only to whoever asks for it by name: not in logs, traces, errors or JSON."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("A secret is not to be copied or stored.")
