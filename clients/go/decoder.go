package objectstreaming

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"time"
)

// Decoder reads the messages of one stream from an [io.Reader], which it reads to its end.
type Decoder[H, P any] struct {
	stream *StreamDecoder[H, P]
	source source
}

// NewDecoder makes a decoder of the stream in r. Its options are those of [NewStreamDecoder].
func NewDecoder[H, P any](r io.Reader, coder Coder[H, P], opts ...Option) *Decoder[H, P] {
	return &Decoder[H, P]{stream: NewStreamDecoder(coder, opts...), source: source{reader: r}}
}

// Next returns the next message, or [io.EOF] where the stream has ended as it should. All other errors are those of
// [StreamDecoder.Next]: after a *PayloadError it may be called again, for the messages after it; the others come again.
//
// A reader that fails has cut the stream, unless that was whole: the error is CodeTruncatedFrame inside a frame and
// CodeStreamIncomplete between two, of a plain stream too, and wraps the reader's. Every message that was whole comes first.
func (d *Decoder[H, P]) Next() (Message[H, P], error) {
	for {
		message, ok, err := d.stream.Next()
		switch {
		case err != nil:
			return message, d.explain(err)
		case ok:
			return message, nil
		case d.stream.frames.finished:
			if d.source.err == io.EOF || d.stream.Ended() {
				return message, io.EOF
			}
			d.stream.err = d.cut() // a plain stream, whose reader failed between two frames
			return message, d.explain(d.stream.err)
		}
		d.source.fill(d.stream.frames)
	}
}

func (d *Decoder[H, P]) cut() error {
	return &IncompleteError{Code: CodeStreamIncomplete, Position: d.Position(), Message: "the stream was cut", Err: d.source.err}
}

// explain adds to an error why the reading stopped, if it was not the input's end.
func (d *Decoder[H, P]) explain(err error) error {
	cause := d.source.err
	if cause == nil || cause == io.EOF {
		return err
	}
	switch failure := err.(type) {
	case *FrameError:
		if cause == errIdle && failure.Code == CodeTruncatedFrame {
			break
		}
		return withCause(err, cause)
	case *IncompleteError:
		if cause != errIdle {
			failure.Err = cause
			return failure
		}
	default:
		return err
	}
	return &IncompleteError{Code: CodeIdleTimeout, Position: d.Position(), Message: "nothing arrived for too long, not even a ping"}
}

// errIdle is why a reading stopped that waited too long.
var errIdle = errors.New("idle for too long")

// All ranges over the messages that are left. Of an error the message is empty. After a *PayloadError the loop may go on to
// the next message; any other error is the last pair. Where a stream ends as it should, the loop ends.
func (d *Decoder[H, P]) All() iter.Seq2[Message[H, P], error] {
	return func(yield func(Message[H, P], error) bool) {
		for {
			message, err := d.Next()
			if err == io.EOF || !yield(message, err) {
				return
			}
			var refused *PayloadError
			if err != nil && !errors.As(err, &refused) {
				return
			}
		}
	}
}

// Position is how many data frames have been received: what to resume from.
func (d *Decoder[H, P]) Position() int64 { return d.stream.Position() }

// Ended reports whether the end frame has come, and was a right one.
func (d *Decoder[H, P]) Ended() bool { return d.stream.Ended() }

// Trailers is the JSON object that the end frame carried, an empty one if it carried none; nil before the end.
func (d *Decoder[H, P]) Trailers() json.RawMessage { return d.stream.Trailers() }

// Metadata is the JSON object that the open frame carried; nil if it carried none.
func (d *Decoder[H, P]) Metadata() json.RawMessage { return d.stream.Metadata() }

// Heartbeat is how often the peer promised to be heard; 0 if it did not.
func (d *Decoder[H, P]) Heartbeat() time.Duration { return d.stream.Heartbeat() }
