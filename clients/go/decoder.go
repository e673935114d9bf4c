package objectstreaming

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Decoder reads the messages of one stream from an [io.Reader]. It reads to the end of the reader.
type Decoder[H, P any] struct {
	*progress
	stream *StreamDecoder[H, P]
	source source
}

// NewDecoder returns a decoder of the stream in r. It takes the options of [NewStreamDecoder].
func NewDecoder[H, P any](r io.Reader, coder Coder[H, P], opts ...DecoderOption) *Decoder[H, P] {
	return newDecoder(r, coder, optionsOf(opts))
}

func newDecoder[H, P any](r io.Reader, coder Coder[H, P], chosen options) *Decoder[H, P] {
	stream := newStreamDecoder(coder, chosen)
	return &Decoder[H, P]{&stream.progress, stream, source{reader: r}}
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

// explain says why the bytes stopped, if the reader did not just end.
func (d *Decoder[H, P]) explain(err error) error {
	cause, code := d.source.err, CodeOf(err)
	if cause == nil || cause == io.EOF || code != CodeTruncatedFrame && code != CodeStreamIncomplete {
		return err
	}
	var own *CancelError
	var idle *idleError
	incomplete, between := err.(*IncompleteError)
	switch {
	case errors.As(cause, &own):
		own.Position = d.Position()
		d.stream.err = own
	case errors.As(cause, &idle):
		message := fmt.Sprintf("nothing arrived for %g s, not even a ping, after %d data frames", idle.limit.Seconds(), d.Position())
		d.stream.err = &IncompleteError{Code: CodeIdleTimeout, Position: d.Position(), Message: message}
	case between:
		incomplete.Message, incomplete.Err = fmt.Sprintf("the connection was cut after %d data frames", d.Position()), cause
	default:
		return withCause(err, cause)
	}
	return d.stream.err
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
