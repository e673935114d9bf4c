package objectstreaming

import (
	"io"
	"sync"
)

// Encoder writes one stream to an [io.Writer]. Each frame is one Write. Several goroutines may use it, for example one that
// sends messages and one that sends pings.
type Encoder[H, P any] struct {
	mutex  sync.Mutex
	writer io.Writer
	stream *StreamEncoder[H, P]
	buffer []byte
	err    error
}

// NewEncoder returns an encoder that writes a stream to w. It takes the options of [NewStreamEncoder].
//
// The methods return an *EncodeError, after which the stream is unchanged, or an error of the writer, which the encoder
// returns again after that.
func NewEncoder[H, P any](w io.Writer, coder Coder[H, P], opts ...EncoderOption) *Encoder[H, P] {
	return &Encoder[H, P]{writer: w, stream: NewStreamEncoder(coder, opts...)}
}

// Open writes the open frame, which must come first. It is optional over HTTP, where the headers describe the stream.
func (e *Encoder[H, P]) Open(opening Open) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendOpen(dst, opening) })
}

// Encode writes a message.
func (e *Encoder[H, P]) Encode(header H, payload P) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendData(dst, header, payload) })
}

// EncodeFrame writes a data frame that is encoded already. Its bytes are sent unchanged.
func (e *Encoder[H, P]) EncodeFrame(frame Frame) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendFrame(dst, frame) })
}

// Ping writes a ping, which shows the reader, and every proxy between, that the stream is alive.
func (e *Encoder[H, P]) Ping() error { return e.write(e.stream.AppendPing) }

// End writes the end frame, which comes last and means success. Trailers are a JSON object: a struct or a map, nil for
// none. The writer is not closed.
func (e *Encoder[H, P]) End(trailers any) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendEnd(dst, trailers, nil) })
}

// Fail writes the end frame of a stream that failed.
func (e *Encoder[H, P]) Fail(failure *StreamError) error {
	return e.write(func(dst []byte) ([]byte, error) { return e.stream.AppendEnd(dst, nil, failure) })
}

// Position is the number of data frames written.
func (e *Encoder[H, P]) Position() int64 {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.stream.Position()
}

const keptBuffer = 64 << 10 // a larger buffer, made for one large frame, is not kept

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
	n, err := e.writer.Write(wire)
	if n < len(wire) && err == nil { // a part of a frame: nothing may come after it
		err = io.ErrShortWrite
	}
	e.err = err
	return err
}
