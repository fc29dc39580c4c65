"""Tables of names are easier to read as text."""


def names(text: str) -> tuple[str, ...]:
    return tuple(text.split())
