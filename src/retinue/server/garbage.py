"""The garbage collector of a process that serves."""

import gc

YOUNG = 10_000
"""New objects after which the collector looks for garbage among them. A turn makes thousands that go by themselves;
with Python's own number it would take 7 % of the time to look at them."""


def settle() -> None:
    """What is there when a process begins to serve stays until its end. The collector does not look at it again, which
    would hold up everybody for tens of milliseconds at a time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
