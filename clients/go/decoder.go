package objectstreaming

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Decoder reads the messages of one stream from an [io.Reader]. It reads to the end of the reader.
type Decoder[H, P any] struct {
	stream *StreamDecoder[H, P]
	source source
}

// NewDecoder returns a decoder of the stream in r. It takes the options of [NewStreamDecoder].
func NewDecoder[H, P any](r io.Reader, coder Coder[H, P], opts ...DecoderOption) *Decoder[H, P] {
	return &Decoder[H, P]{stream: NewStreamDecoder(coder, opts...), source: source{reader: r}}
}

// Next returns the next message, or [io.EOF] at the end of a whole stream. The other errors are those of
// [StreamDecoder.Next]. After a *PayloadError, Next returns the message after it. Every other error is returned again.
//
// If the reader fails before the end of the stream, the stream was cut. The error is CodeTruncatedFrame inside a frame and
// CodeStreamIncomplete between two frames, in a plain stream too. It wraps the error of the reader, and comes after all
// whole messages. If the caller ended the reading of a response, the error is a *CancelError, and no cut.
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
			// A plain stream, whose reader failed between two frames.
			d.stream.err = &IncompleteError{Code: CodeStreamIncomplete, Position: d.Position()}
			return message, d.explain(d.stream.err)
		}
		d.source.fill(d.stream.frames)
	}
}

// explain adds the error of the reader to an error, if the reader did not just end.
func (d *Decoder[H, P]) explain(err error) error {
	cause := d.source.err
	if cause == nil || cause == io.EOF {
		return err
	}
	var own *CancelError
	if errors.As(cause, &own) && isCut(err) {
		own.Position = d.Position()
		d.stream.err = own
		return own
	}
	var idle *idleError
	silent := errors.As(cause, &idle)
	switch failure := err.(type) {
	case *FrameError:
		if !silent || failure.Code != CodeTruncatedFrame {
			return withCause(err, cause)
		}
	case *IncompleteError:
		if !silent {
			failure.Message = fmt.Sprintf("the connection was cut after %d data frames", d.Position())
			failure.Err = cause
			return failure
		}
	default:
		return err
	}
	message := fmt.Sprintf("nothing arrived for %g s, not even a ping, after %d data frames", idle.limit.Seconds(), d.Position())
	return &IncompleteError{Code: CodeIdleTimeout, Position: d.Position(), Message: message}
}

// isCut reports whether an error only says that the bytes stopped.
func isCut(err error) bool {
	switch failure := err.(type) {
	case *FrameError:
		return failure.Code == CodeTruncatedFrame
	case *IncompleteError:
		return true
	}
	return false
}

// idleError is returned by a reader that has waited longer than limit.
type idleError struct{ limit time.Duration }

func (e *idleError) Error() string { return fmt.Sprintf("nothing arrived for %g s", e.limit.Seconds()) }

// All ranges over the messages that were not read yet. With an error the message is empty. After a *PayloadError the loop
// can continue with the next message. Any other error is the last pair. At the end of a whole stream the loop ends.
func (d *Decoder[H, P]) All() iter.Seq2[Message[H, P], error] { return all(d.Next) }

func all[H, P any](next func() (Message[H, P], error)) iter.Seq2[Message[H, P], error] {
	return func(yield func(Message[H, P], error) bool) {
		for {
			message, err := next()
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

// Position is the number of data frames received: the position to resume from.
func (d *Decoder[H, P]) Position() int64 { return d.stream.Position() }

// Ended reports whether the end frame was received, and was valid.
func (d *Decoder[H, P]) Ended() bool { return d.stream.Ended() }

// Trailers is the JSON object of the end frame, an empty one if it had none. It is nil before the end.
func (d *Decoder[H, P]) Trailers() json.RawMessage { return d.stream.Trailers() }

// Metadata is the JSON object of the open frame. It is nil if there is none.
func (d *Decoder[H, P]) Metadata() json.RawMessage { return d.stream.Metadata() }

// Resume is the URI reference at which the stream can be picked up (section 6.3). It is empty if there is none.
func (d *Decoder[H, P]) Resume() string { return d.stream.Resume() }

// Heartbeat is the heartbeat that the open frame announced: the peer sends something at least this often. 0 if there is
// none.
func (d *Decoder[H, P]) Heartbeat() time.Duration { return d.stream.Heartbeat() }
