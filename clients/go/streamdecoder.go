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

// Message is one message of a stream.
type Message[H, P any] struct {
	Header  H
	Payload P
}

// StreamDecoder reads the messages of one stream from bytes, in chunks of any size. Control frames are handled inside. It
// does no input or output. Give it bytes with Feed, take messages with Next until there is none, and call Finish after the
// last byte.
type StreamDecoder[H, P any] struct {
	progress
	coder      Coder[H, P]
	order      Order[H]
	frames     *FrameDecoder
	state      state
	controlled bool
	err        error
}

// NewStreamDecoder returns a decoder of one stream. Its options are [WithMaxFrame], [WithMaxHeader] and [WithRequiredEnd].
func NewStreamDecoder[H, P any](coder Coder[H, P], opts ...DecoderOption) *StreamDecoder[H, P] {
	return newStreamDecoder(coder, optionsOf(opts))
}

func newStreamDecoder[H, P any](coder Coder[H, P], chosen options) *StreamDecoder[H, P] {
	d := &StreamDecoder[H, P]{coder: coder, frames: newFrameDecoder(chosen)}
	if ordered, ok := coder.(OrderedCoder[H]); ok {
		d.order = ordered.NewOrder()
	}
	return d
}

// Buffered is the number of bytes held: of a frame that is not whole yet, and of messages that were not read yet.
func (d *StreamDecoder[H, P]) Buffered() int { return d.frames.Buffered() }

// progress is what the frames so far have said. Its methods are those of [Decoder] and [StreamDecoder].
type progress struct {
	received  int64 // data frames of this response
	before    int64 // data frames of the stream that come before this response
	heartbeat time.Duration
	metadata  json.RawMessage
	resume    string
	trailers  json.RawMessage
}

// Position is the number of data frames of the stream up to here: the position to resume from. If the response resumes a
// stream, those before it count too (section 3.6).
func (p *progress) Position() int64 { return p.before + p.received }

// Ended reports whether the end frame was received, and was valid.
func (p *progress) Ended() bool { return p.trailers != nil }

// Trailers is the JSON object of the end frame, an empty one if it had none. It is nil before the end.
func (p *progress) Trailers() json.RawMessage { return p.trailers }

// Metadata is the JSON object of the open frame. It is nil if there is none.
func (p *progress) Metadata() json.RawMessage { return p.metadata }

// Resume is the URI reference at which the stream can be picked up (section 6.3). It is empty if there is none.
func (p *progress) Resume() string { return p.resume }

// Heartbeat is the heartbeat that the open frame announced: the peer sends something at least this often. 0 if there is
// none.
func (p *progress) Heartbeat() time.Duration { return p.heartbeat }

// Feed takes a chunk. The chunk is not copied, so it must not change until Next has returned false. After Finish it panics.
func (d *StreamDecoder[H, P]) Feed(chunk []byte) { d.frames.Feed(chunk) }

// Messages feeds a chunk and ranges over the messages that are now whole. An error is a pair with an empty message. After a
// *PayloadError the loop can continue. Any other error is the last pair. The chunk may change after the loop. If the loop
// was left early, the other messages are kept and come first in the next loop.
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

// Next returns the next message. ok is false if more bytes are needed, or if there is an error. After a *PayloadError, Next
// returns the message after it. After a *FrameError, *ProtocolError, *IncompleteError or *StreamError (the peer reported an
// error in its end frame) the decoder has failed, and returns the same error again.
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
		d.received++
		if message.Header, message.Payload, err = d.coder.Decode(frame); err != nil && CodeOf(err) == "" {
			err = frame.InvalidPayload("the payload is not what the coder "+d.coder.Name()+" reads: "+err.Error(), err)
		}
		if err == nil && d.order != nil {
			if err = d.order.Follow(message.Header, frame.Index); err != nil && CodeOf(err) == "" {
				err = &ProtocolError{CodeOrderGap, frame.Index, err.Error()}
			}
		}
		if err == nil {
			return message, true, nil
		}
		var refused *PayloadError
		if !errors.As(err, &refused) {
			d.err = err
		} else if d.order != nil {
			d.order.Forget()
		}
		return Message[H, P]{}, false, err
	}
	return Message[H, P]{}, false, d.err
}

// Finish tells the decoder that no more bytes will come. The error is a *FrameError with CodeTruncatedFrame, or an
// *IncompleteError if the end is missing. Messages that were not taken yet can still be taken. The error then comes after
// them.
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
		message := fmt.Sprintf("the stream stopped after %d data frames without its end: was it cut?", d.Position())
		d.err = &IncompleteError{Code: CodeStreamIncomplete, Position: d.Position(), Message: message}
	}
}

func (d *StreamDecoder[H, P]) step(what event, frame Frame) error {
	next := transitions[d.state][what]
	switch {
	case next != wrong:
		d.state = next
		return nil
	case d.state == ended:
		return &ProtocolError{CodeFrameAfterEnd, frame.Index, "a " + eventNames[what] + " frame after the end of the stream"}
	default:
		return invalidControl(frame, "%s in a stream that has begun already", eventNames[what])
	}
}

func invalidControl(frame Frame, format string, arguments ...any) error {
	return &ProtocolError{CodeInvalidControl, frame.Index, fmt.Sprintf(format, arguments...)}
}

// pingHeader is how this project's encoders write a ping. It needs no parsing: a slow stream is mostly pings.
const pingHeader = `{"$stream":{"type":"ping"}}`

func (d *StreamDecoder[H, P]) control(frame Frame) error {
	if string(frame.Header) == pingHeader {
		return d.step(ping, frame)
	}
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
	case ping:
		return timed(control, frame)
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
	if value, there := control["position"]; there {
		count, ok := asCount(value)
		if !ok {
			return invalidControl(frame, "position is a number of data frames, not %.40s", value)
		}
		d.before = count
	}
	if value, there := control["resume"]; there {
		uri, ok := asString(value)
		if !ok {
			return invalidControl(frame, "resume is a URI reference, a string, not %.40s", value)
		}
		d.resume = uri
	}
	return timed(control, frame)
}

// timed checks the time of an open, a ping or an end frame (section 3.3).
func timed(control members, frame Frame) error {
	if value, there := control["at"]; there {
		if _, ok := asCount(value); !ok {
			return invalidControl(frame, "at is a number of microseconds, not %.40s", value)
		}
	}
	return nil
}

// asCount reads an integer of 0 or more. One of more than 62 bits gives 1<<62, to which frames can be added.
func asCount(text json.RawMessage) (count int64, ok bool) {
	p := parser{data: text}
	_, integer, err := p.number()
	count, _ = strconv.ParseInt(string(text), 10, 64)
	return min(count, 1<<62), err == nil && integer && count >= 0
}

func (d *StreamDecoder[H, P]) ended(control members, frame Frame) error {
	text := control["frames"]
	frames, ok := asCount(text)
	if !ok {
		return invalidControl(frame, "frames is the number of data frames, not %.40s", text)
	}
	if frames != d.received {
		return &ProtocolError{CodeCountMismatch, frame.Index, fmt.Sprintf("%.40s data frames were sent, %d arrived", text, d.received)}
	}
	if err := timed(control, frame); err != nil {
		return err
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
		reported, ok := peerError(asMembers(value))
		if !ok {
			return invalidControl(frame, "error is an object with code and message, not %.60s", value)
		}
		failure = reported
	}
	d.trailers = trailers
	return failure
}

// peerError reads the error object of section 3.4.
func peerError(object members) (*StreamError, bool) {
	code, ok := asString(object["code"])
	if !ok {
		return nil, false
	}
	reported := &StreamError{Code: Code(code), Details: object["details"], fromPeer: true}
	if value, there := object["message"]; there {
		if reported.Message, ok = asString(value); !ok {
			return nil, false
		}
	}
	if reported.Code.HTTPStatus() == 0 {
		reported.Code = CodeUnknown // a code of a later version is an error too
	}
	return reported, true
}
