"""How often something can be done in the time there is: some contenders are a hundred times as fast as others."""


def times_within(seconds: float, each: float, *, most: int, least: int = 3) -> int:
    """So often, if it takes so many seconds each time."""
    return max(least, min(most, round(seconds / max(each, 1e-6))))
