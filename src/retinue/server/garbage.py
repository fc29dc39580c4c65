"""The garbage collector of a process that serves."""

import gc


def settle() -> None:
    """What is there when a process begins to serve stays until its end. The collector does not look at it again, which
    would hold up everybody for tens of milliseconds at a time.
    """
    gc.collect()
    gc.freeze()
