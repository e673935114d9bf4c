"""The error tree: fields, messages, pickling."""

from __future__ import annotations

import pickle

import pytest

from objectstreaming import errors
from objectstreaming.errors import (
    HTTP_STATUS,
    ContentTypeError,
    EncodeError,
    FrameTooLarge,
    HeaderTooLarge,
    IdleTimeout,
    InvalidHeader,
    InvalidLength,
    ObjectStreamError,
    PayloadError,
    ProtocolError,
    ResponseError,
    StreamError,
    StreamIncomplete,
    TruncatedFrame,
)

ONE_OF_EACH = [
    InvalidLength("T is 0", 2, 48),
    FrameTooLarge("T is 9", 1, 2),
    HeaderTooLarge("H is 9", 1, 6),
    InvalidHeader("not an object", 3, 4),
    TruncatedFrame("cut", 5, 6),
    PayloadError("not JSON", 7, 8),
    ProtocolError("order_gap", "order is 3, 2 was due", 4),
    StreamIncomplete("no end", 12),
    IdleTimeout("silence", 3),
    StreamError("not_found", "no such document", {"document": "b.md"}),
    ResponseError("unavailable", "try later", None, 503, b"{}"),
    ContentTypeError("text/html is no stream", "text/html", b"<html>"),
    EncodeError("nan is not JSON"),
]


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
class TestEveryError:
    def test_is_under_the_root_and_has_a_code(self, error: ObjectStreamError) -> None:
        assert isinstance(error, ObjectStreamError)
        assert isinstance(error.code, str)
        assert error.code

    def test_survives_pickling_with_its_fields_and_its_message(self, error: ObjectStreamError) -> None:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)

    def test_stands_in_the_tree_of_the_module_docstring(self, error: ObjectStreamError) -> None:
        assert errors.__doc__ is not None
        assert type(error).__name__ in errors.__doc__


def test_the_listed_value_errors_are_value_errors_too() -> None:
    frame_and_payload_and_encode = {e.__class__ for e in ONE_OF_EACH if isinstance(e, ValueError)}
    assert frame_and_payload_and_encode == {
        InvalidLength,
        FrameTooLarge,
        HeaderTooLarge,
        InvalidHeader,
        TruncatedFrame,
        PayloadError,
        EncodeError,
    }


def test_an_idle_timeout_is_an_incomplete_stream_and_a_timeout() -> None:
    assert issubclass(IdleTimeout, StreamIncomplete)
    assert issubclass(IdleTimeout, TimeoutError)


def test_messages_name_the_place() -> None:
    assert str(InvalidLength("T is 0", 2, 48)) == "T is 0 (frame 2, byte 48)"
    assert str(PayloadError("not JSON", 7, 8)) == "not JSON (frame 7, byte 8)"
    assert str(ProtocolError("order_gap", "order is 3", 4)) == "order is 3 (order_gap, frame 4)"
    assert str(StreamError("aborted")) == "aborted"
    assert str(ResponseError("unavailable", "later", status=503)) == "HTTP 503, unavailable: later"


def test_the_sixteen_codes_each_have_a_status() -> None:
    assert len(HTTP_STATUS) == 16
    assert all(StreamError(code).http_status == status for code, status in HTTP_STATUS.items())


def test_an_unknown_code_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="unknown error code 'oops'; one of: canceled"):
        StreamError("oops")


@pytest.mark.parametrize(
    ("status", "code"), [(404, "not_found"), (429, "resource_exhausted"), (502, "unavailable"), (418, "unknown")]
)
def test_a_bare_status_has_a_code(status: int, code: str) -> None:
    assert errors.code_for_status(status) == code
