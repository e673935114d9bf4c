package objectstreaming

import (
	"bytes"
	"fmt"
	"math"
)

// What a decoder accepts unless it is told otherwise, in bytes (section 2.4).
const (
	DefaultMaxFrame  = 16 << 20
	DefaultMaxHeader = 64 << 10
)

// Layout is how the two length words are written. The zero Layout is the wire's, 4 bytes each, little-endian; another
// one is a private agreement of both sides (section 2.1).
type Layout struct {
	// ByteLength is the width of a length word, 1 to 8; 0 means 4.
	ByteLength int
	// BigEndian turns the bytes of a length word round.
	BigEndian bool
}

// width panics on one that is none: it is the program's, never a peer's.
func (l Layout) width() int {
	if l.ByteLength == 0 {
		return 4
	}
	if l.ByteLength < 0 || l.ByteLength > 8 {
		panic(fmt.Sprintf("objectstreaming: Layout.ByteLength is 1 to 8, not %d", l.ByteLength))
	}
	return l.ByteLength
}

// largest is the largest T a length word can say.
func (l Layout) largest() uint64 { return math.MaxUint64 >> (64 - 8*l.width()) }

func (l Layout) word(data []byte) (word uint64) {
	if l == (Layout{}) {
		_ = data[3]
		return uint64(data[0]) | uint64(data[1])<<8 | uint64(data[2])<<16 | uint64(data[3])<<24
	}
	width := l.width()
	for i := range width {
		if l.BigEndian {
			word = word<<8 | uint64(data[i])
		} else {
			word |= uint64(data[i]) << (8 * i)
		}
	}
	return word
}

func (l Layout) appendWord(data []byte, word uint64) []byte {
	width := l.width()
	for i := range width {
		if l.BigEndian {
			data = append(data, byte(word>>(8*(width-1-i))))
		} else {
			data = append(data, byte(word>>(8*i)))
		}
	}
	return data
}

// Frame is one frame of a stream: a header and a payload, as they were on the wire.
type Frame struct {
	// Header is a JSON object, not yet judged: DecodeHeader does that.
	Header []byte
	// Payload is what the stream's coder says.
	Payload []byte
	// Index and Offset tell where in its stream the frame stood, in frames and in bytes from 0.
	Index, Offset int64
}

// DecodeHeader reads the header into what v points to, or, if v is nil, only checks it. The error is a *FrameError,
// CodeInvalidHeader, if it is not one strict JSON object, or does not fit.
func (f Frame) DecodeHeader(v any) error {
	err := checkOrUnmarshalObject(f.Header, v)
	if err != nil {
		return f.invalidHeader("the header is not the JSON object that is wanted", err)
	}
	return nil
}

func checkOrUnmarshalObject(data []byte, v any) error {
	if v == nil {
		return checkObject(data)
	}
	p := parser{data: data}
	if err := p.wantObject(); err != nil {
		return err
	}
	return unmarshal(data, v)
}

func (f Frame) invalidHeader(message string, err error) *FrameError {
	return &FrameError{Code: CodeInvalidHeader, Index: f.Index, Offset: f.Offset, Message: message, Err: err}
}

func (f Frame) invalidPayload(message string, err error) *PayloadError {
	return &PayloadError{Index: f.Index, Offset: f.Offset, Message: message, Err: err}
}

const controlPrefix = `{"$stream":`

// IsControl reports whether the frame is a control frame: its header begins with `{"$stream":` (section 3.1).
func (f Frame) IsControl() bool { return bytes.HasPrefix(f.Header, []byte(controlPrefix)) }

// AppendFrame appends one frame to dst. The header is JSON, and goes out as it is once it has been checked. The error is
// an *EncodeError.
func AppendFrame(dst, header, payload []byte) ([]byte, error) {
	return Layout{}.AppendFrame(dst, header, payload)
}

// AppendFrame is the package's AppendFrame in another layout.
func (l Layout) AppendFrame(dst, header, payload []byte) ([]byte, error) {
	if err := checkObject(header); err != nil {
		return dst, &EncodeError{Message: "the header is not a JSON object", Err: err}
	}
	return l.appendFrame(dst, header, payload)
}

// appendFrame takes the header's word for it.
func (l Layout) appendFrame(dst, header, payload []byte) ([]byte, error) {
	size := 2*l.width() + len(header) + len(payload)
	if uint64(size) > l.largest() {
		message := fmt.Sprintf("a frame of %d bytes does not fit a length word of %d: send it in pieces", size, l.width())
		return dst, &EncodeError{Message: message}
	}
	if cap(dst)-len(dst) < size {
		dst = append(make([]byte, 0, max(len(dst)+size, 2*len(dst))), dst...)
	}
	dst = l.appendWord(dst, uint64(size))
	dst = l.appendWord(dst, uint64(len(header)))
	dst = append(dst, header...)
	return append(dst, payload...), nil
}

// Option changes what a decoder, an encoder or a request does by default.
type Option func(*options)

type options struct {
	maxFrame, maxHeader uint64
	layout              Layout
	end                 endPolicy
	plain               bool
	http                httpOptions
}

func optionsOf(given []Option) options {
	made := options{maxFrame: DefaultMaxFrame, maxHeader: DefaultMaxHeader}
	for _, option := range given {
		option(&made)
	}
	return made
}

// WithMaxFrame limits T, the bytes in a whole frame. What a receiver refuses an [Encoder] refuses as well.
func WithMaxFrame(bytes int) Option { return func(o *options) { o.maxFrame = uint64(max(bytes, 0)) } }

// WithMaxHeader limits H, the bytes in a header.
func WithMaxHeader(bytes int) Option { return func(o *options) { o.maxHeader = uint64(max(bytes, 0)) } }

// WithLayout is for streams of another layout. It is looked at by [FrameDecoder] and [ReadFrames]; messages and control
// frames are always of the standard layout.
func WithLayout(layout Layout) Option {
	layout.width() // panics now rather than in the midst of a stream
	return func(o *options) { o.layout = layout }
}
