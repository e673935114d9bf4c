package objectstreaming

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Code is the code of an error, as in the specification (sections 5.1 to 5.4). A code is an error itself, so that
// errors.Is(err, CodeTruncatedFrame) works.
type Code string

// Codes of framing: the bytes are not frames (section 5.1).
const (
	CodeInvalidLength  Code = "invalid_length"
	CodeFrameTooLarge  Code = "frame_too_large"
	CodeHeaderTooLarge Code = "header_too_large"
	CodeInvalidHeader  Code = "invalid_header"
	CodeTruncatedFrame Code = "truncated_frame"
)

// Codes of payloads and of the protocol: the frames are valid, but a payload or the stream is not (sections 5.2 and 5.3).
const (
	CodeInvalidPayload        Code = "invalid_payload"
	CodeInvalidControl        Code = "invalid_control"
	CodeFrameAfterEnd         Code = "frame_after_end"
	CodeCountMismatch         Code = "count_mismatch"
	CodeOrderGap              Code = "order_gap"
	CodeStreamIncomplete      Code = "stream_incomplete"
	CodeIdleTimeout           Code = "idle_timeout"
	CodeUnexpectedContentType Code = "unexpected_content_type"
	CodeEncodeError           Code = "encode_error"
)

// Codes of the peer, in a [StreamError] (section 5.4). They are the codes of the Connect protocol.
const (
	CodeCanceled           Code = "canceled"
	CodeUnknown            Code = "unknown"
	CodeInvalidArgument    Code = "invalid_argument"
	CodeDeadlineExceeded   Code = "deadline_exceeded"
	CodeNotFound           Code = "not_found"
	CodeAlreadyExists      Code = "already_exists"
	CodePermissionDenied   Code = "permission_denied"
	CodeResourceExhausted  Code = "resource_exhausted"
	CodeFailedPrecondition Code = "failed_precondition"
	CodeAborted            Code = "aborted"
	CodeOutOfRange         Code = "out_of_range"
	CodeUnimplemented      Code = "unimplemented"
	CodeInternal           Code = "internal"
	CodeUnavailable        Code = "unavailable"
	CodeDataLoss           Code = "data_loss"
	CodeUnauthenticated    Code = "unauthenticated"
)

var httpStatus = map[Code]int{
	CodeCanceled: 499, CodeUnknown: 500, CodeInvalidArgument: 400, CodeDeadlineExceeded: 504, CodeNotFound: 404,
	CodeAlreadyExists: 409, CodePermissionDenied: 403, CodeResourceExhausted: 429, CodeFailedPrecondition: 400,
	CodeAborted: 409, CodeOutOfRange: 400, CodeUnimplemented: 501, CodeInternal: 500, CodeUnavailable: 503,
	CodeDataLoss: 500, CodeUnauthenticated: 401,
}

func (c Code) Error() string { return string(c) }

// HTTPStatus is the status of the response if an error with this code occurs before the first frame (section 5.4). It is 0
// for a code that is not one of the peer's.
func (c Code) HTTPStatus() int { return httpStatus[c] }

// CodeOf returns the code of an error of this package. It is empty for any other error.
func CodeOf(err error) Code {
	var coded interface{ code() Code }
	if errors.As(err, &coded) {
		return coded.code()
	}
	var code Code
	errors.As(err, &code)
	return code
}

// FrameError means that the bytes are not frames. The decoder that returned it has failed, and returns it again.
type FrameError struct {
	// Code is one of CodeInvalidLength, CodeFrameTooLarge, CodeHeaderTooLarge, CodeInvalidHeader, CodeTruncatedFrame.
	Code Code
	// Index is the number of the frame in the stream, from 0. Control frames count.
	Index int64
	// Offset is the byte of the stream, from 0: the first byte of the wrong length word, or else of the frame.
	Offset int64
	// Message is for people.
	Message string
	// Err is the cause, if there is one: for example the error of the reader.
	Err error
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("objectstreaming: %s: %s (frame %d, byte %d)%s", e.Code, e.Message, e.Index, e.Offset, cause(e.Err))
}
func (e *FrameError) Unwrap() error { return e.Err }
func (e *FrameError) code() Code    { return e.Code }

// Is reports whether target is the code of the error. A truncated frame is an [io.ErrUnexpectedEOF] too.
func (e *FrameError) Is(target error) bool {
	return target == e.Code || e.Code == CodeTruncatedFrame && target == io.ErrUnexpectedEOF
}

// PayloadError means that the frame is valid, but its payload is not what the coder reads. The frame counts for the
// position, and the stream can continue.
type PayloadError struct {
	Index, Offset int64
	Message       string
	Err           error
}

func (e *PayloadError) Error() string {
	return fmt.Sprintf("objectstreaming: %s: %s (frame %d, byte %d)", CodeInvalidPayload, e.Message, e.Index, e.Offset)
}
func (e *PayloadError) Unwrap() error        { return e.Err }
func (e *PayloadError) Is(target error) bool { return target == CodeInvalidPayload }
func (e *PayloadError) code() Code           { return CodeInvalidPayload }

// ProtocolError means that the frames are valid, but not a valid stream. The decoder that returned it has failed.
type ProtocolError struct {
	// Code is one of CodeInvalidControl, CodeFrameAfterEnd, CodeCountMismatch, CodeOrderGap.
	Code    Code
	Index   int64
	Message string
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("objectstreaming: %s: %s (frame %d)", e.Code, e.Message, e.Index)
}
func (e *ProtocolError) Is(target error) bool { return target == e.Code }
func (e *ProtocolError) code() Code           { return e.Code }

// IncompleteError means that a stream stopped between two frames, before its end.
type IncompleteError struct {
	// Code is CodeStreamIncomplete, or CodeIdleTimeout if nothing arrived for too long, not even a ping.
	Code Code
	// Position is the number of data frames received: the position to resume from.
	Position int64
	Message  string
	Err      error
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("objectstreaming: %s: %s%s", e.Code, e.Message, cause(e.Err))
}
func (e *IncompleteError) Unwrap() error { return e.Err }
func (e *IncompleteError) code() Code    { return e.Code }

// Timeout reports whether the error is an idle timeout. With Temporary, which is always false, it makes the error a [net.Error].
func (e *IncompleteError) Timeout() bool   { return e.Code == CodeIdleTimeout }
func (e *IncompleteError) Temporary() bool { return false }

// Is reports whether target is the code of the error. An idle timeout is a CodeStreamIncomplete and an
// [os.ErrDeadlineExceeded] too, any other IncompleteError an [io.ErrUnexpectedEOF].
func (e *IncompleteError) Is(target error) bool {
	if e.Code == CodeIdleTimeout && target == os.ErrDeadlineExceeded {
		return true
	}
	return target == e.Code || target == CodeStreamIncomplete || e.Code == CodeStreamIncomplete && target == io.ErrUnexpectedEOF
}

// CancelError means that the caller itself ended the reading: its context was cancelled or has expired, or the stream was
// closed. The stream was not cut, so the error has no [Code], and is no [io.ErrUnexpectedEOF].
//
// It wraps the error and the cause of the context, or [net.ErrClosed]. A cause that is an error of a stream is only part of the
// message: in a group of streams, the cut of one cancels the others, and is no cut of theirs.
type CancelError struct {
	// Position is the number of data frames received.
	Position int64
	Err      error
}

func (e *CancelError) Error() string {
	return fmt.Sprintf("objectstreaming: the caller ended the stream after %d data frames%s", e.Position, cause(e.Err))
}
func (e *CancelError) Unwrap() error { return e.Err }

// StreamError is an error that one peer reports to the other in the end frame (section 3.4).
type StreamError struct {
	// Code is one of the sixteen codes of section 5.4. Any other code is read as CodeUnknown.
	Code    Code
	Message string
	// Details is any JSON value, nil if there is none.
	Details json.RawMessage

	fromPeer bool // so a Handler does not tell it to its own clients
}

func (e *StreamError) Error() string {
	if e.Message == "" {
		return "objectstreaming: the peer failed: " + string(e.Code)
	}
	return fmt.Sprintf("objectstreaming: the peer failed: %s: %s", e.Code, e.Message)
}
func (e *StreamError) Is(target error) bool { return target == e.Code }
func (e *StreamError) code() Code           { return e.Code }

// ResponseError is a response with a status that is not 2xx, its problem decoded.
type ResponseError struct {
	StreamError
	Status int
	// Header is the header of the response. RetryAfter reads one of its fields.
	Header http.Header
	// Body is the beginning of the body.
	Body []byte
}

func (e *ResponseError) Error() string {
	return fmt.Sprintf("objectstreaming: HTTP %d, %s: %s", e.Status, e.Code, e.Message)
}

// RetryAfter is how long the server asks to wait before the next request: its Retry-After header, in seconds or as a date,
// which is compared with the date of the response, because the clocks may differ. ok is false if there is none that can be
// read.
func (e *ResponseError) RetryAfter() (wait time.Duration, ok bool) {
	given := strings.TrimSpace(e.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(given, 10, 31); err == nil || errors.Is(err, strconv.ErrRange) { // then the longest
		return time.Duration(seconds) * time.Second, true
	}
	if date, err := http.ParseTime(given); err == nil {
		now, err := http.ParseTime(e.Header.Get("Date"))
		if err != nil {
			now = time.Now()
		}
		return max(0, date.Sub(now)), true
	}
	return 0, false
}

// Unwrap returns the embedded StreamError.
func (e *ResponseError) Unwrap() error { return &e.StreamError }

// ContentTypeError is a successful response that is not a stream of this coder.
type ContentTypeError struct {
	ContentType string
	// Beginning is the beginning of the body.
	Beginning []byte
	Message   string
}

func (e *ContentTypeError) Error() string {
	return fmt.Sprintf("objectstreaming: %s: %s", CodeUnexpectedContentType, e.Message)
}
func (e *ContentTypeError) Is(target error) bool { return target == CodeUnexpectedContentType }
func (e *ContentTypeError) code() Code           { return CodeUnexpectedContentType }

// EncodeError means that a message cannot be sent. No byte was written, and nothing has changed.
type EncodeError struct {
	Message string
	Err     error
}

func (e *EncodeError) Error() string {
	return fmt.Sprintf("objectstreaming: %s: %s%s", CodeEncodeError, e.Message, cause(e.Err))
}
func (e *EncodeError) Unwrap() error        { return e.Err }
func (e *EncodeError) Is(target error) bool { return target == CodeEncodeError }
func (e *EncodeError) code() Code           { return CodeEncodeError }

func cause(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// The errors log themselves with log/slog as groups, so that a search finds a code or a position without reading a message.

func (e *FrameError) LogValue() slog.Value {
	return group(e, slog.Int64("frame", e.Index), slog.Int64("byte", e.Offset))
}
func (e *PayloadError) LogValue() slog.Value {
	return group(e, slog.Int64("frame", e.Index), slog.Int64("byte", e.Offset))
}
func (e *ProtocolError) LogValue() slog.Value    { return group(e, slog.Int64("frame", e.Index)) }
func (e *IncompleteError) LogValue() slog.Value  { return group(e, slog.Int64("position", e.Position)) }
func (e *CancelError) LogValue() slog.Value      { return group(e, slog.Int64("position", e.Position)) }
func (e *StreamError) LogValue() slog.Value      { return group(e) }
func (e *ResponseError) LogValue() slog.Value    { return group(e, slog.Int("status", e.Status)) }
func (e *ContentTypeError) LogValue() slog.Value { return group(e) }
func (e *EncodeError) LogValue() slog.Value      { return group(e) }

func group(err error, more ...slog.Attr) slog.Value {
	attributes := append(more, slog.String("message", err.Error()))
	if code := CodeOf(err); code != "" {
		attributes = append([]slog.Attr{slog.String("code", string(code))}, attributes...)
	}
	return slog.GroupValue(attributes...)
}
