package objectstreaming

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Open is the content of an open frame.
type Open struct {
	// Heartbeat: the reader receives something at least this often. 0 promises nothing.
	Heartbeat time.Duration
	// Metadata is a JSON object of the application: a struct or a map, nil for none.
	Metadata any
}

// StreamEncoder appends the frames of one stream to byte slices. A frame that is not allowed is an *EncodeError, and
// nothing changes.
type StreamEncoder[H, P any] struct {
	options
	coder    Coder[H, P]
	state    state
	position int64
}

// NewStreamEncoder returns an encoder of one stream. Its options are [WithPlain], and [WithMaxFrame] and [WithMaxHeader] for
// the limits of the receiver.
func NewStreamEncoder[H, P any](coder Coder[H, P], opts ...EncoderOption) *StreamEncoder[H, P] {
	return &StreamEncoder[H, P]{options: optionsOf(opts), coder: coder}
}

// Position is the number of data frames appended.
func (e *StreamEncoder[H, P]) Position() int64 { return e.position }

// AppendOpen appends the open frame, which must come first. It is optional over HTTP, where the headers describe the stream.
func (e *StreamEncoder[H, P]) AppendOpen(dst []byte, opening Open) ([]byte, error) {
	control := struct {
		Type      string          `json:"type"`
		V         int             `json:"v"`
		Coder     string          `json:"coder"`
		Heartbeat float64         `json:"heartbeat,omitempty"`
		Metadata  json.RawMessage `json:"metadata,omitempty"`
	}{Type: "open", V: Version, Coder: e.coder.Name(), Heartbeat: opening.Heartbeat.Seconds()}
	if opening.Heartbeat < 0 {
		message := fmt.Sprintf("heartbeat is a positive number of seconds, not %g", opening.Heartbeat.Seconds())
		return dst, &EncodeError{Message: message}
	}
	metadata, err := marshalMembers("metadata", opening.Metadata)
	if err != nil {
		return dst, err
	}
	control.Metadata = metadata
	return e.appendControl(dst, open, control)
}

// AppendData appends a data frame with a message.
func (e *StreamEncoder[H, P]) AppendData(dst []byte, header H, payload P) ([]byte, error) {
	if err := e.allow(data); err != nil {
		return dst, err
	}
	head, body, err := e.coder.Encode(header, payload)
	if err != nil {
		return dst, asEncodeError(err)
	}
	return e.appendData(dst, head, body)
}

// AppendFrame appends a data frame that is encoded already, from another stream or an archive. Its bytes are unchanged.
func (e *StreamEncoder[H, P]) AppendFrame(dst []byte, frame Frame) ([]byte, error) {
	if err := e.allow(data); err != nil {
		return dst, err
	}
	return e.appendData(dst, frame.Header, frame.Payload)
}

func (e *StreamEncoder[H, P]) appendData(dst, head, body []byte) ([]byte, error) {
	if err := checkObject(head); err != nil {
		return dst, &EncodeError{Message: "the header is not a JSON object", Err: err}
	}
	if hasMember(head, "$stream") {
		return dst, &EncodeError{Message: `the header member "$stream" belongs to control frames`}
	}
	dst, err := e.appendWithin(dst, head, body)
	if err == nil {
		e.state = transitions[e.state][data]
		e.position++
	}
	return dst, err
}

// appendWithin appends a frame that is within the limits of the receiver.
func (e *StreamEncoder[H, P]) appendWithin(dst, head, body []byte) ([]byte, error) {
	if size := uint64(8 + len(head) + len(body)); size > e.maxFrame || uint64(len(head)) > e.maxHeader {
		message := fmt.Sprintf("a frame of %d bytes with a header of %d is beyond the limits of %d and %d, which receivers "+
			"keep to; send it in pieces, or raise the limits on both sides", size, len(head), e.maxFrame, e.maxHeader)
		return dst, &EncodeError{Message: message}
	}
	return Layout{}.appendFrame(dst, head, body)
}

// AppendPing appends a ping, which shows the reader, and every proxy between, that the stream is alive.
func (e *StreamEncoder[H, P]) AppendPing(dst []byte) ([]byte, error) {
	return e.appendControl(dst, ping, struct {
		Type string `json:"type"`
	}{"ping"})
}

// AppendEnd appends the end frame, which comes last. It means success if failure is nil. Trailers are a JSON object of the
// application: a struct or a map, nil for none.
func (e *StreamEncoder[H, P]) AppendEnd(dst []byte, trailers any, failure *StreamError) ([]byte, error) {
	type reported struct {
		Code    Code            `json:"code"`
		Message string          `json:"message"`
		Details json.RawMessage `json:"details,omitempty"`
	}
	control := struct {
		Type     string          `json:"type"`
		Frames   int64           `json:"frames"`
		Trailers json.RawMessage `json:"trailers,omitempty"`
		Error    *reported       `json:"error,omitempty"`
	}{Type: "end", Frames: e.position}
	var err error
	if control.Trailers, err = marshalMembers("trailers", trailers); err != nil {
		return dst, err
	}
	if failure != nil {
		if failure.Code.HTTPStatus() == 0 {
			return dst, &EncodeError{Message: fmt.Sprintf("%q is not one of the sixteen codes of a StreamError", failure.Code)}
		}
		// An error message may contain any bytes. It must not prevent the end frame.
		control.Error = &reported{failure.Code, strings.ToValidUTF8(failure.Message, "\ufffd"), failure.Details}
	}
	wire, err := e.appendControl(dst, end, control)
	if err == nil || failure == nil {
		return wire, err
	}
	// The peer is to hear of the error in any case: without what is beyond the limits.
	control.Error.Details = nil
	if wire, err = e.appendControl(dst, end, control); err == nil {
		return wire, nil
	}
	control.Error.Message, control.Trailers = "the message of this error cannot be sent", nil
	return e.appendControl(dst, end, control)
}

func (e *StreamEncoder[H, P]) appendControl(dst []byte, what event, control any) ([]byte, error) {
	if e.plain {
		return dst, &EncodeError{Message: "a plain stream has no control frames, " + eventNames[what] + " cannot be sent in it"}
	}
	if err := e.allow(what); err != nil {
		return dst, err
	}
	header, err := marshalJSON(map[string]any{"$stream": control})
	if err != nil {
		return dst, err
	}
	if dst, err = e.appendWithin(dst, header, e.coder.Neutral()); err == nil {
		e.state = transitions[e.state][what]
	}
	return dst, err
}

func (e *StreamEncoder[H, P]) allow(what event) error {
	if transitions[e.state][what] != wrong {
		return nil
	}
	past := "begun already"
	if e.state == ended {
		past = "ended"
	}
	return &EncodeError{Message: eventNames[what] + " is not allowed: the stream has " + past}
}

// marshalMembers is the JSON of a value that must be an object. It is nil for nil.
func marshalMembers(name string, value any) (json.RawMessage, error) {
	if value == nil {
		return nil, nil
	}
	text, err := marshalJSON(value)
	if err == nil && asMembers(text) == nil {
		err = &EncodeError{Message: fmt.Sprintf("%s is an object, not %.40s", name, text)}
	}
	return text, err
}

func asEncodeError(err error) error {
	if _, ok := err.(*EncodeError); ok {
		return err
	}
	return &EncodeError{Message: "the coder refuses it", Err: err}
}
