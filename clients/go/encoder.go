package objectstreaming

import (
	"io"
	"sync"
)

// Encoder writes one stream to an [io.Writer], each frame with one Write as soon as it is encoded. It may be used by several
// goroutines: one that sends messages, and one that pings.
type Encoder[H, P any] struct {
	mutex  sync.Mutex
	writer io.Writer
	stream *StreamEncoder[H, P]
	buffer []byte
	err    error
}

// NewEncoder makes an encoder of a stream into w. Its options are those of [NewStreamEncoder].
//
// An error of its methods is an *EncodeError, after which the stream stands where it stood, or the writer's, after which
// the encoder returns that one again.
func NewEncoder[H, P any](w io.Writer, coder Coder[H, P], opts ...Option) *Encoder[H, P] {
	return &Encoder[H, P]{writer: w, stream: NewStreamEncoder(coder, opts...)}
}

// Open writes the open frame, which may be the first, and must be where no HTTP header says what the stream is.
func (e *Encoder[H, P]) Open(opening Open) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendOpen(dst, opening) })
}

// Encode writes a message.
func (e *Encoder[H, P]) Encode(header H, payload P) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendData(dst, header, payload) })
}

// EncodeFrame writes a data frame that is encoded already: its bytes go out untouched.
func (e *Encoder[H, P]) EncodeFrame(frame Frame) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendFrame(dst, frame) })
}

// Ping writes a ping, which tells the reader, and every proxy between, that the stream is alive.
func (e *Encoder[H, P]) Ping() error { return e.write(e.stream.AppendPing) }

// End writes the end frame, the last: success. Trailers are a JSON object: a struct, a map; nil for none. It does not close
// the writer.
func (e *Encoder[H, P]) End(trailers any) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendEnd(dst, trailers, nil) })
}

// Fail writes the end frame of a stream that failed.
func (e *Encoder[H, P]) Fail(failure *StreamError) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendEnd(dst, nil, failure) })
}

// Position is how many data frames have been written.
func (e *Encoder[H, P]) Position() int64 {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.stream.Position()
}

const keptBuffer = 64 << 10 // a buffer that one large frame needed is not kept for the small ones after it

func (e *Encoder[H, P]) write(appendTo func([]byte) ([]byte, error)) error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.err != nil {
		return e.err
	}
	wire, err := appendTo(e.buffer[:0])
	if err != nil {
		return err
	}
	if e.buffer = wire; cap(wire) > keptBuffer {
		e.buffer = nil
	}
	_, e.err = e.writer.Write(wire)
	return e.err
}
