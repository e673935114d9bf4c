package objectstreaming

import (
	"bytes"
	"fmt"
	"math"
)

// Layout is how the two length words are written. The zero Layout is the standard one: 4 bytes each, little-endian. Another
// layout is a private agreement of both sides (section 2.1).
type Layout struct {
	// ByteLength is the width of a length word, 1 to 8. 0 means 4.
	ByteLength int
	// BigEndian puts the most significant byte of a length word first.
	BigEndian bool
}

// width panics if the layout is invalid: only the program sets it, never a peer.
func (l Layout) width() int {
	if l.ByteLength == 0 {
		return 4
	}
	if l.ByteLength < 0 || l.ByteLength > 8 {
		panic(fmt.Sprintf("objectstreaming: Layout.ByteLength is 1 to 8, not %d", l.ByteLength))
	}
	return l.ByteLength
}

// largest is the largest T that a length word can hold.
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
	// Header is a JSON object. It is not checked yet: see DecodeHeader.
	Header []byte
	// Payload belongs to the coder of the stream.
	Payload []byte
	// Index and Offset are the place of the frame in its stream: its number and its first byte, both from 0.
	Index, Offset int64
}

// DecodeHeader reads the header into the value that v points to. If v is nil, it only checks the header. The error is a
// *FrameError with CodeInvalidHeader, if the header is not one strict JSON object or does not fit v.
func (f Frame) DecodeHeader(v any) error {
	if v == nil {
		if err := checkObject(f.Header); err != nil {
			return f.InvalidHeader("the header is not a JSON object", err)
		}
		return nil
	}
	if err := unmarshalObject(f.Header, v); err != nil {
		return f.InvalidHeader("the header is not the expected JSON object", err)
	}
	return nil
}

// InvalidHeader is the error of a coder that refuses the header.
func (f Frame) InvalidHeader(message string, err error) *FrameError {
	return &FrameError{Code: CodeInvalidHeader, Index: f.Index, Offset: f.Offset, Message: message, Err: err}
}

// InvalidPayload is the error of a coder that refuses the payload.
func (f Frame) InvalidPayload(message string, err error) *PayloadError {
	return &PayloadError{Index: f.Index, Offset: f.Offset, Message: message, Err: err}
}

const controlPrefix = `{"$stream":`

// IsControl reports whether the frame is a control frame, whose header begins with `{"$stream":` (section 3.1).
func (f Frame) IsControl() bool { return bytes.HasPrefix(f.Header, []byte(controlPrefix)) }

// AppendFrame appends one frame to dst. The header is JSON text. It is checked, and written unchanged. The error is an
// *EncodeError.
func AppendFrame(dst, header, payload []byte) ([]byte, error) {
	return Layout{}.AppendFrame(dst, header, payload)
}

// AppendFrame appends one frame in this layout. See the function AppendFrame.
func (l Layout) AppendFrame(dst, header, payload []byte) ([]byte, error) {
	if err := checkObject(header); err != nil {
		return dst, &EncodeError{Message: "the header is not a JSON object", Err: err}
	}
	return l.appendFrame(dst, header, payload)
}

// appendFrame appends a frame whose header was checked before.
func (l Layout) appendFrame(dst, header, payload []byte) ([]byte, error) {
	size := 2*l.width() + len(header) + len(payload)
	if uint64(size) > l.largest() {
		message := fmt.Sprintf("a frame of %d bytes does not fit a length word of %d bytes; send it in pieces, a frame each",
			size, l.width())
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
