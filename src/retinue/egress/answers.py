"""Takes the bytes of an HTTP/1.1 answer apart, with llhttp."""

import httptools
import httpx2

MAX_HEAD = 131_072
"""Bytes before an answer's body, with all that only says that the answer will take a moment. So many, too, may frame a
body before some of it comes."""
_VERSIONS = ("1.0", "1.1")
_SWITCHING = 101


class Answer:
    """What has come of one answer. What comes together is given out together, in however many chunks it was sent.

    As lenient as servers need: line ends may lack their CR, a size may have spaces behind it, and where a body has both
    a length and chunks, the chunks count (RFC 9112, 6.3), and the connection is not used again.
    """

    __slots__ = (
        "_failure",
        "_framing",
        "_has_body",
        "_has_length",
        "_is_chunked",
        "_is_hint",
        "_parser",
        "_pieces",
        "has_head",
        "headers",
        "is_complete",
        "may_go_on",
        "reason",
        "status",
        "version",
    )

    def __init__(self, *, has_body: bool = True) -> None:
        """
        Args:
            has_body: false for the answer to a HEAD request.
        """
        self.status = 0
        self.reason = b""
        self.version = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.is_complete = False
        self.may_go_on = False
        """The answer is complete, and its connection can carry another request."""
        self._has_body = has_body
        self._is_hint = False
        self._has_length = self._is_chunked = False
        self._pieces: list[bytes] = []
        self._framing = 0
        self._failure: Exception | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_chunked_length=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )

    @property
    def goes_on(self) -> bool:
        """Whether there may be more of it."""
        return not self.is_complete and self._failure is None

    def feed(self, data: bytes) -> None:
        """Take the next bytes; none at the end of the connection.

        Raises:
            httpx2.RemoteProtocolError: this is no answer, or its head does not end.
            httpx2.ReadError: the connection ended before the head did.
        """
        try:
            if data:
                self._parse(data)
            else:
                self._end()
        except (httpx2.RemoteProtocolError, httpx2.ReadError) as failure:
            if not self.has_head:
                raise
            self._failure = failure

    def take(self) -> bytes:
        """What has come of the body since this was asked last.

        Raises:
            httpx2.RemoteProtocolError, httpx2.ReadError: there is nothing more of it, and it is not all.
        """
        if not self._pieces and self._failure is not None:
            raise self._failure
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.may_go_on = False
            if not self.is_complete:
                raise httpx2.RemoteProtocolError(f"the answer is no HTTP/1.1: {error}") from None
        self._framing = 0 if self._pieces or self.is_complete else self._framing + len(data)
        if self._framing > MAX_HEAD:
            raise httpx2.RemoteProtocolError("the answer's head does not end")

    def _end(self) -> None:
        if not self.has_head:
            raise httpx2.ReadError("the server closed the connection without an answer")
        if not self._ends_with_connection():
            raise httpx2.ReadError("the server closed the connection before the end of its answer")
        self.is_complete = True

    def _ends_with_connection(self) -> bool:
        return not self._is_chunked and not self._has_length

    def on_message_begin(self) -> None:
        if self.is_complete:  # nobody has asked for a second answer
            self.may_go_on = False

    def on_status(self, reason: bytes) -> None:
        if not self.has_head:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            return
        self.headers.append((name, value))
        lowered = name.lower()
        if lowered == b"content-length":
            self._has_length = True
        elif lowered == b"transfer-encoding" and value.lower().rstrip().endswith(b"chunked"):
            self._is_chunked = True

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        version, self.status = self._parser.get_http_version(), self._parser.get_status_code()
        if version not in _VERSIONS or self.status < 100 or self.status == _SWITCHING:
            raise ValueError("no answer that was asked for")
        self.version = b"HTTP/" + version.encode()
        self._is_hint = self.status < 200
        self.has_head = not self._is_hint
        self.is_complete = self.has_head and not self._has_body

    def on_body(self, piece: bytes) -> None:
        if not self.is_complete:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._is_hint:
            self.reason, self._is_hint = b"", False
            self.headers.clear()
            self._has_length = self._is_chunked = False
        elif not self.is_complete:
            self.is_complete = True
            self.may_go_on = self._parser.should_keep_alive() and not (self._has_length and self._is_chunked)
