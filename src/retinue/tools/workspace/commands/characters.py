"""Characters that a person who reads a command or a path would not see."""

import re

_IGNORABLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""Unicode's Default_Ignorable_Code_Point, of which Python calls many printable."""
_BLANK = ((0x2800, 0x2800), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159))
"""Letters and signs that are drawn as nothing."""
_UNSEEN = re.compile(f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in (*_IGNORABLE, *_BLANK))}]")


def is_deceptive(text: str, *, allowed: str = "") -> bool:
    """Whether it holds characters that a person would not see, or would see elsewhere.

    `allowed`: white space that is let pass all the same.
    """
    return any(not char.isprintable() and char not in allowed for char in text) or _UNSEEN.search(text) is not None
