"""All errors of this package, as one tree (SPEC section 5).

    ObjectStreamError
    ├── FrameError (also ValueError)     the bytes are not frames: code, index, offset; the decoder is dead
    │   ├── InvalidLength                invalid_length     a length word that cannot be true
    │   ├── FrameTooLarge                frame_too_large    T above Limits.frame
    │   ├── HeaderTooLarge               header_too_large   H above Limits.header
    │   ├── InvalidHeader                invalid_header     the header is not one strict JSON object
    │   └── TruncatedFrame               truncated_frame    the bytes ended inside a frame
    ├── PayloadError (also ValueError)   invalid_payload    a valid frame, its content not; the stream may go on
    ├── ProtocolError                    valid frames that make no valid stream: invalid_control, frame_after_end,
    │                                    count_mismatch, order_gap
    ├── StreamIncomplete                 stream_incomplete  it stopped between two frames, without its end
    │   └── IdleTimeout (also TimeoutError)  idle_timeout   nothing arrived for too long, not even a ping
    ├── StreamError                      the peer says that it failed: code (one of sixteen), message, details
    │   └── ResponseError                the same by HTTP status, before the first frame: status, headers
    ├── ContentTypeError                 unexpected_content_type  the response is not a stream of frames
    └── EncodeError (also ValueError)    encode_error       raised by an encoder, before a byte leaves

`index` counts the frames of the stream from 0, control frames included. `offset` counts its bytes from 0: the length
word at fault for `invalid_length`, `frame_too_large` and `header_too_large`, the first byte of the frame otherwise.
Every error here can be pickled, so that it crosses a process pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = [
    "HTTP_STATUS",
    "ContentTypeError",
    "EncodeError",
    "FrameError",
    "FrameTooLarge",
    "HeaderTooLarge",
    "IdleTimeout",
    "InvalidHeader",
    "InvalidLength",
    "ObjectStreamError",
    "PayloadError",
    "ProtocolError",
    "PureCodecWarning",
    "ResponseError",
    "StreamError",
    "StreamIncomplete",
    "TruncatedFrame",
    "code_for_status",
]

HTTP_STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "canceled": 499,
        "unknown": 500,
        "invalid_argument": 400,
        "deadline_exceeded": 504,
        "not_found": 404,
        "already_exists": 409,
        "permission_denied": 403,
        "resource_exhausted": 429,
        "failed_precondition": 400,
        "aborted": 409,
        "out_of_range": 400,
        "unimplemented": 501,
        "internal": 500,
        "unavailable": 503,
        "data_loss": 500,
        "unauthenticated": 401,
    }
)
"""The sixteen codes of `StreamError`, each with the HTTP status for a failure before the first frame (SPEC 5.4).

Source: the error codes of the Connect protocol (connectrpc.com/docs/protocol)."""

_CODE_FOR_STATUS: Final[Mapping[int, str]] = {
    400: "invalid_argument",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    408: "deadline_exceeded",
    409: "aborted",
    413: "resource_exhausted",
    415: "invalid_argument",
    422: "invalid_argument",
    429: "resource_exhausted",
    499: "canceled",
    500: "internal",
    501: "unimplemented",
    502: "unavailable",
    503: "unavailable",
    504: "deadline_exceeded",
}


def code_for_status(status: int) -> str:
    """The code for an HTTP status whose body does not name one.

    >>> code_for_status(429), code_for_status(418)
    ('resource_exhausted', 'unknown')
    """
    return _CODE_FOR_STATUS.get(status, "unknown")


class PureCodecWarning(UserWarning):
    """The package was installed without its C extension. Given once, at import.

    `OBJECTSTREAMING_PURE=1` in the environment silences it, and so does a filter by its message that is set before the
    import.
    """


class ObjectStreamError(Exception):
    """The root: `except ObjectStreamError` catches everything that this package raises about a stream."""

    code: str = "unknown"


class _PlacedError(ObjectStreamError, ValueError):
    """An error at a place in a stream: `index` is the frame's, `offset` the byte's."""

    def __init__(self, message: str, index: int = 0, offset: int = 0) -> None:
        super().__init__(message, index, offset)
        self.message = message
        self.index = index
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.message} (frame {self.index}, byte {self.offset})"


class FrameError(_PlacedError):
    """The bytes are not frames. `code`, `index` and `offset` say what is wrong, in which frame, at which byte.

    The codes: `invalid_length`, a length that cannot be true; `frame_too_large` and `header_too_large`, above the
    `Limits`; `invalid_header`, no strict JSON object; `truncated_frame`, the class `TruncatedFrame`.

    >>> error = InvalidLength("T is 0, the smallest frame is 8 bytes", index=2, offset=48)
    >>> error.code, error.index, error.offset
    ('invalid_length', 2, 48)
    >>> print(error)
    T is 0, the smallest frame is 8 bytes (frame 2, byte 48)
    """


class InvalidLength(FrameError):
    """A length word that cannot be true: T below its own two words, or H reaching past T."""

    code = "invalid_length"


class FrameTooLarge(FrameError):
    """T is above `Limits.frame`. The length word alone is refused: nothing was allocated for the frame."""

    code = "frame_too_large"


class HeaderTooLarge(FrameError):
    """H is above `Limits.header`."""

    code = "header_too_large"


class InvalidHeader(FrameError):
    """The header is not one JSON object in strict UTF-8, or does not fit the coder's header type."""

    code = "invalid_header"


class TruncatedFrame(FrameError):
    """The bytes ended inside a frame; `offset` is where that frame began."""

    code = "truncated_frame"


class PayloadError(_PlacedError):
    """The frame is valid, and its payload is not what the coder reads. The stream may go on (SPEC section 3.7).

    `index` and `offset` are those of the frame.
    """

    code = "invalid_payload"


class ProtocolError(ObjectStreamError):
    """Valid frames that do not make a valid stream.

    `code` is `invalid_control`, `frame_after_end`, `count_mismatch` or `order_gap`; `index` the frame's.
    """

    def __init__(self, code: str, message: str, index: int = 0) -> None:
        super().__init__(code, message, index)
        self.code = code
        self.message = message
        self.index = index

    def __str__(self) -> str:
        return f"{self.message} ({self.code}, frame {self.index})"


class StreamIncomplete(ObjectStreamError):
    """The stream stopped between two frames, and the end that it must have did not come.

    `position` is the number of data frames received: where to resume.
    """

    code = "stream_incomplete"

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message, position)
        self.message = message
        self.position = position

    def __str__(self) -> str:
        return self.message


class IdleTimeout(StreamIncomplete, TimeoutError):
    """Nothing arrived, not even a ping, for longer than the heartbeat of the peer allows."""

    code = "idle_timeout"


class StreamError(ObjectStreamError):
    """The peer says that it failed. Raised in the source of a server: the failure that the peer is told.

    `from_peer` is true for an error that a peer has sent to this program. A server does not send such an error on to
    its own clients: it was written for this program, and may say things that they must not know. They get
    `unavailable`. To send it on, raise an error of your own: `raise StreamError(error.code, "the model refused")`.

    >>> error = StreamError("not_found", "no such document", {"document": "b.md"})
    >>> print(error)
    not_found: no such document
    >>> error.http_status
    404

    Args:
        code: one of the sixteen of SPEC section 5.4, such as `not_found`.
        message: for the reader of the error.
        details: any JSON value; `None`: there are none.

    Raises:
        ValueError: There is no such code.
    """

    from_peer = False

    def __init__(self, code: str, message: str = "", details: Any = None) -> None:
        if code not in HTTP_STATUS:
            raise ValueError(f"unknown error code {code!r}; one of: {', '.join(HTTP_STATUS)}")
        super().__init__(code, message, details)
        self.code = code
        self.message = message
        self.details = details

    @property
    def http_status(self) -> int:
        """The HTTP status of the response, if this is raised before the first frame."""
        return HTTP_STATUS[self.code]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class ResponseError(StreamError):
    """A response whose status is not 2xx, with its problem decoded.

    `body` is the beginning of the raw body, `headers` are the response's, their names in lower case. `retry_after` is
    how many seconds the server wants to be left alone (RFC 9110, section 10.2.3), counted from the response; `None` if
    it did not say.

    >>> error = ResponseError("unavailable", "busy", status=503, headers={"retry-after": "7"}, retry_after=7.0)
    >>> error.status, error.headers["retry-after"], error.retry_after
    (503, '7', 7.0)
    """

    from_peer = True

    def __init__(
        self,
        code: str,
        message: str = "",
        details: Any = None,
        status: int = 500,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message, details)
        self.status = status
        self.body = body
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.retry_after = retry_after
        self.args = (code, message, details, status, body, self.headers, retry_after)

    def __str__(self) -> str:
        return f"HTTP {self.status}, {super().__str__()}"


class ContentTypeError(ObjectStreamError):
    """A successful response that is not a stream of frames; `beginning` is how its body starts."""

    code = "unexpected_content_type"

    def __init__(self, message: str, content_type: str = "", beginning: bytes = b"") -> None:
        super().__init__(message, content_type, beginning)
        self.message = message
        self.content_type = content_type
        self.beginning = beginning

    def __str__(self) -> str:
        return self.message


class EncodeError(ObjectStreamError, ValueError):
    """What is to be sent cannot be sent. It is raised before a byte leaves, and nothing has changed."""

    code = "encode_error"
