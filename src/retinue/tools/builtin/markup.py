"""What a person would read of an HTML page.

The standard library's parser takes seconds for a small page that was made to be slow (half-open tags, each of which it
looks at again with every character that follows). This reader is far simpler: it knows where tags begin and end, and
goes over every character a fixed number of times.
"""

import html
import re
from typing import NamedTuple

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,40})")
_ATTRIBUTE_OR_END = re.compile(r"""=[ \t\r\n]*(["'])|>""")
_MARKUP = re.compile(r"<(?=[!?/a-zA-Z])")
_SPACE = re.compile(r"\s+")
_HUGE_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{8,}")
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]")
"""Characters that a person does not see, but a model reads. Joiners stay: scripts and emoji need them."""

_RAW = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object", "select", "xmp", "noembed"})
_ENDS = {name: re.compile(rf"</{name}(?![a-z0-9-])", re.IGNORECASE) for name in (*_RAW, "title", "textarea")}
_BLOCK = re.compile(
    r"address|article|aside|blockquote|body|br|d[dlt]|details|div|fig(?:caption|ure)|footer|form|h[1-6r]|header|li|main|nav"
    r"|[ou]l|p|pre|section|summary|table|tbody|t[dhr]|tfoot|thead"
)


class Page(NamedTuple):
    title: str
    text: str


def read_page(source: str) -> Page:
    """The title and the text of an HTML page, one line per block. Time and memory grow with its length only."""
    reader = _Reader(source)
    reader.read()
    return Page(_line(_plain(reader.title)), _lines(_plain("".join(reader.parts))))


def without_invisible(text: str) -> str:
    """The text as a person sees it."""
    return _INVISIBLE.sub("", text)


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._position = 0
        self.parts: list[str] = []
        self.title = ""

    def read(self) -> None:
        while (start := _MARKUP.search(self._source, self._position)) is not None:
            self._text(start.start())
            self._position = start.start()
            tag = _TAG.match(self._source, self._position)
            if tag is None:
                self._comment()
            else:
                self._tag(is_end=bool(tag[1]), name=tag[2].lower(), after=tag.end())
        self._text(len(self._source))

    def _text(self, end: int) -> None:
        self.parts.append(_SPACE.sub(" ", self._source[self._position : end]))

    def _comment(self) -> None:
        """Also declarations and whatever else is no tag. One that is not closed hides the rest."""
        opening, closing = ("<!--", "-->") if self._source.startswith("<!--", self._position) else ("<", ">")
        self._skip_to(self._source.find(closing, self._position + len(opening)), len(closing))

    def _tag(self, *, is_end: bool, name: str, after: int) -> None:
        self._skip_to(self._end_of_tag(after), 1)
        if _BLOCK.fullmatch(name):
            self.parts.append("\n- " if name == "li" and not is_end else "\n")
        elif name in _ENDS and not is_end:
            self._raw(name)

    def _end_of_tag(self, position: int) -> int:
        while (found := _ATTRIBUTE_OR_END.search(self._source, position)) is not None:
            if found[1] is None:
                return found.start()
            closing = self._source.find(found[1], found.end())
            if closing < 0:
                return -1
            position = closing + 1
        return -1

    def _raw(self, name: str) -> None:
        """What is inside is not looked at for tags."""
        end = _ENDS[name].search(self._source, self._position)
        content = self._source[self._position : end.start() if end else len(self._source)]
        if name == "title":
            self.title = self.title or content
        elif name == "textarea":
            self.parts.append(content)
        self._position = end.start() if end else len(self._source)

    def _skip_to(self, found: int, length: int) -> None:
        self._position = found + length if found >= 0 else len(self._source)


def _plain(text: str) -> str:
    # Numbers of thousands of digits are an error to `int`, and a slow one.
    return without_invisible(html.unescape(_HUGE_REFERENCE.sub("\N{REPLACEMENT CHARACTER}", text)))


def _line(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _lines(text: str) -> str:
    lines = (_line(line) for line in text.split("\n"))
    return "\n".join(line for line in lines if line and line != "-")
