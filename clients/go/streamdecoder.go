package objectstreaming

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"
)

// Version is the version of streams that this package reads and writes.
const Version = 1

type endPolicy int

const (
	endIfControlled endPolicy = iota
	endRequired
	endOptional
)

// WithRequiredEnd says whether a stream without an end frame is broken. Unless it is given, the stream decides: an end is
// required once a control frame was seen, for then the stream is of version 1. A response of the vendor's media type is
// of version 1 from its first byte.
func WithRequiredEnd(required bool) Option {
	return func(o *options) {
		o.end = endOptional
		if required {
			o.end = endRequired
		}
	}
}

// Message is one message of a stream.
type Message[H, P any] struct {
	Header  H
	Payload P
}

// A stream's state, and what may come in it (section 3.5):
//
//	           open       data       ping       other      end
//	start      streaming  streaming  streaming  streaming  ended
//	streaming  -          streaming  streaming  streaming  ended
//	ended      -          -          -          -          -
type (
	state int
	event int
)

const (
	start state = iota
	streaming
	ended
	wrong
)

const (
	open event = iota
	data
	ping
	other
	end
)

var transitions = [3][5]state{
	start:     {streaming, streaming, streaming, streaming, ended},
	streaming: {wrong, streaming, streaming, streaming, ended},
	ended:     {wrong, wrong, wrong, wrong, wrong},
}

var eventNames = [...]string{"open", "data", "ping", "other", "end"}

// StreamDecoder turns bytes, as a transport cuts them, into the messages of one stream; control frames are handled and not
// shown. It does no input or output: give it bytes with Feed, take messages with Next until there is none, and call
// Finish where the bytes end.
type StreamDecoder[H, P any] struct {
	coder      Coder[H, P]
	order      order[H]
	frames     *FrameDecoder
	state      state
	position   int64
	controlled bool
	heartbeat  time.Duration
	metadata   json.RawMessage
	trailers   json.RawMessage
	err        error
}

// NewStreamDecoder makes a decoder of one stream. Its options are [WithMaxFrame], [WithMaxHeader] and [WithRequiredEnd].
func NewStreamDecoder[H, P any](coder Coder[H, P], opts ...Option) *StreamDecoder[H, P] {
	d := &StreamDecoder[H, P]{coder: coder, frames: NewFrameDecoder(append(opts[:len(opts):len(opts)], WithLayout(Layout{}))...)}
	if checker, ok := coder.(orderChecker[H]); ok {
		d.order = checker.newOrder()
	}
	return d
}

// Position is how many data frames have been received: what to resume from.
func (d *StreamDecoder[H, P]) Position() int64 { return d.position }

// Buffered is how many bytes have been fed that were not yet asked for, or are not yet a whole frame.
func (d *StreamDecoder[H, P]) Buffered() int { return d.frames.Buffered() }

// Ended reports whether the end frame has come, and was a right one.
func (d *StreamDecoder[H, P]) Ended() bool { return d.trailers != nil }

// Trailers is the JSON object that the end frame carried, an empty one if it carried none; nil before the end.
func (d *StreamDecoder[H, P]) Trailers() json.RawMessage { return d.trailers }

// Metadata is the JSON object that the open frame carried; nil if it carried none.
func (d *StreamDecoder[H, P]) Metadata() json.RawMessage { return d.metadata }

// Heartbeat is how often the peer promised to be heard; 0 if it did not.
func (d *StreamDecoder[H, P]) Heartbeat() time.Duration { return d.heartbeat }

// Feed takes a chunk. It is kept, not copied, so it must not change before Next has asked for more. After Finish it
// panics.
func (d *StreamDecoder[H, P]) Feed(chunk []byte) { d.frames.Feed(chunk) }

// Messages feeds a chunk and ranges over the messages that are now whole. Errors are pairs of their own, with an empty message:
// after a *PayloadError the loop may go on, any other is the last. The chunk may change once the loop has ended, however it
// ended: what was not taken is kept, and comes first in the next.
func (d *StreamDecoder[H, P]) Messages(chunk []byte) iter.Seq2[Message[H, P], error] {
	return func(yield func(Message[H, P], error) bool) {
		d.Feed(chunk)
		defer d.frames.own()
		for {
			message, ok, err := d.Next()
			if !ok && err == nil || !yield(message, err) || d.err != nil {
				return
			}
		}
	}
}

// Next returns the next message. ok is false if more bytes are needed, or if there is an error: a *PayloadError, after
// which Next may be called again for the messages after it; or a *FrameError, *ProtocolError, *IncompleteError, or
// *StreamError (the peer ended the stream with one), after which the decoder is dead and returns the same again.
func (d *StreamDecoder[H, P]) Next() (message Message[H, P], ok bool, err error) {
	for d.err == nil {
		frame, ok, err := d.frames.Next()
		if err != nil {
			d.err = err
			break
		}
		if !ok {
			if d.frames.finished {
				d.complete()
			}
			break
		}
		if frame.IsControl() {
			d.controlled = true
			d.err = d.control(frame)
			continue
		}
		if d.err = d.step(data, frame); d.err != nil {
			break
		}
		d.position++
		if message.Header, message.Payload, err = d.coder.Decode(frame); err == nil && d.order != nil {
			err = d.order.follow(message.Header, frame.Index)
		}
		if err == nil {
			return message, true, nil
		}
		var refused *PayloadError
		if !errors.As(err, &refused) {
			d.err = err
		} else if d.order != nil {
			d.order.forget()
		}
		return Message[H, P]{}, false, err
	}
	return Message[H, P]{}, false, d.err
}

// Finish says that no more bytes will come. The error is a *FrameError, CodeTruncatedFrame, or an *IncompleteError if the
// end is missing. Messages that have not been taken can still be taken, and the error then comes after them.
func (d *StreamDecoder[H, P]) Finish() error {
	if err := d.frames.Finish(); d.err == nil && err != nil {
		d.err = err
	}
	if d.err == nil && d.frames.Buffered() == 0 {
		d.complete()
	}
	return d.err
}

func (d *StreamDecoder[H, P]) complete() {
	required := d.controlled
	if d.frames.end != endIfControlled {
		required = d.frames.end == endRequired
	}
	if required && !d.Ended() {
		message := fmt.Sprintf("the stream stopped after %d data frames without its end: was it cut?", d.position)
		d.err = &IncompleteError{Code: CodeStreamIncomplete, Position: d.position, Message: message}
	}
}

func (d *StreamDecoder[H, P]) step(what event, frame Frame) error {
	next := transitions[d.state][what]
	switch {
	case next != wrong:
		d.state = next
		return nil
	case d.state == ended:
		return &ProtocolError{CodeFrameAfterEnd, frame.Index, "a frame of type " + eventNames[what] + " after the end of the stream"}
	default:
		return invalidControl(frame, "%s in a stream that has begun already", eventNames[what])
	}
}

func invalidControl(frame Frame, format string, arguments ...any) error {
	return &ProtocolError{CodeInvalidControl, frame.Index, fmt.Sprintf(format, arguments...)}
}

// members are a JSON object's, by name, as they stand there.
type members map[string]json.RawMessage

// asMembers is nil if the value is no object, or not there.
func asMembers(value json.RawMessage) (object members) {
	_ = unmarshal(value, &object)
	return object
}

func asString(value json.RawMessage) (text string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return text, unmarshal(value, &text) == nil
}

func (d *StreamDecoder[H, P]) control(frame Frame) error {
	var header members
	if err := frame.DecodeHeader(&header); err != nil {
		return err
	}
	control := asMembers(header["$stream"])
	kind, ok := asString(control["type"])
	if !ok {
		return invalidControl(frame, "$stream is an object with the member type, a string")
	}
	what := other
	switch kind {
	case "open":
		what = open
	case "ping":
		what = ping
	case "end":
		what = end
	}
	if err := d.step(what, frame); err != nil {
		return err
	}
	switch what {
	case open:
		return d.opened(control, frame)
	case end:
		return d.ended(control, frame)
	}
	return nil
}

func (d *StreamDecoder[H, P]) opened(control members, frame Frame) error {
	if v := string(control["v"]); v != "1" {
		return invalidControl(frame, "the stream is of version %.40s, this reader knows 1", v)
	}
	if value, there := control["coder"]; there {
		if name, ok := asString(value); !ok || name != d.coder.Name() {
			return invalidControl(frame, "the stream's coder is %.40s, this reader's %q", value, d.coder.Name())
		}
	}
	if value, there := control["heartbeat"]; there && string(value) != "null" {
		seconds, err := strconv.ParseFloat(string(value), 64)
		if isNumber := value[0] == '-' || '0' <= value[0] && value[0] <= '9'; !isNumber || !(seconds > 0) {
			return invalidControl(frame, "heartbeat is a positive number of seconds, not %.40s", value)
		}
		d.heartbeat = math.MaxInt64
		if seconds < math.MaxInt64/1e9 && err == nil {
			d.heartbeat = max(1, time.Duration(seconds*1e9))
		}
	}
	if value, there := control["metadata"]; there {
		if asMembers(value) == nil {
			return invalidControl(frame, "metadata is an object, not %.40s", value)
		}
		d.metadata = value
	}
	return nil
}

func (d *StreamDecoder[H, P]) ended(control members, frame Frame) error {
	text := control["frames"]
	p := parser{data: text}
	_, integer, err := p.number()
	frames, _ := strconv.ParseInt(string(text), 10, 64) // one beyond 64 bits is the largest, which is not the position
	if err != nil || !integer || frames < 0 {
		return invalidControl(frame, "frames is the number of data frames, not %.40s", text)
	}
	if frames != d.position {
		return &ProtocolError{CodeCountMismatch, frame.Index, fmt.Sprintf("%.40s data frames were sent, %d arrived", text, d.position)}
	}
	trailers, there := control["trailers"]
	if !there {
		trailers = json.RawMessage("{}")
	}
	if asMembers(trailers) == nil {
		return invalidControl(frame, "trailers is an object, not %.40s", trailers)
	}
	var failure error
	if value, there := control["error"]; there {
		told, ok := peerError(asMembers(value))
		if !ok {
			return invalidControl(frame, "error is an object with code and message, not %.60s", value)
		}
		failure = told
	}
	d.trailers = trailers
	return failure
}

// peerError reads the error object of section 3.4.
func peerError(said members) (*StreamError, bool) {
	code, ok := asString(said["code"])
	if !ok {
		return nil, false
	}
	told := &StreamError{Code: Code(code), Details: said["details"]}
	if value, there := said["message"]; there {
		if told.Message, ok = asString(value); !ok {
			return nil, false
		}
	}
	if told.Code.HTTPStatus() == 0 {
		told.Code = CodeUnknown // one of a later version is an error all the same
	}
	return told, true
}
