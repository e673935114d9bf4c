package objectstreaming

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// FrameDecoder reads frames from bytes, in chunks of any size. It does no input or output. Give it bytes with Feed, take
// frames with Next until there is none, and call Finish after the last byte.
//
// A frame that is whole in a chunk is copied out of it. The bytes of a frame in several chunks are collected in partial,
// which grows with the bytes that arrive. No memory is reserved for a length that a peer claims. Each length word is
// checked as soon as it has arrived. No byte is read twice, so the cost is linear for any chunks.
type FrameDecoder struct {
	options
	width    int
	chunk    []byte // the argument of Feed; the bytes from at on were not read yet
	at       int
	owned    bool   // chunk is our own copy
	partial  []byte // the beginning of a frame in several chunks
	checked  int    // how many of its length words have been checked
	total    uint64 // its T, once checked
	header   uint64 // its H, once checked
	index    int64
	offset   int64
	finished bool
	err      error
}

// NewFrameDecoder returns a decoder of one stream. Its options are [WithMaxFrame], [WithMaxHeader] and [WithLayout].
func NewFrameDecoder(opts ...FrameOption) *FrameDecoder { return newFrameDecoder(optionsOf(opts)) }

func newFrameDecoder(made options) *FrameDecoder {
	return &FrameDecoder{options: made, width: made.layout.width()}
}

// Position is the number of frames returned.
func (d *FrameDecoder) Position() int64 { return d.index }

// Offset is the number of bytes of these frames: where the next frame begins.
func (d *FrameDecoder) Offset() int64 { return d.offset }

// Buffered is the number of bytes fed beyond Offset.
func (d *FrameDecoder) Buffered() int { return len(d.partial) + len(d.chunk) - d.at }

var errFedAfterFinish = errors.New("objectstreaming: Feed after Finish: the stream has ended")

// Feed takes a chunk. The chunk is not copied, so it must not change until Next has returned false. After Finish it panics.
func (d *FrameDecoder) Feed(chunk []byte) {
	switch {
	case d.finished:
		panic(errFedAfterFinish)
	case d.err != nil:
	case d.at == len(d.chunk):
		d.chunk, d.at, d.owned = chunk, 0, false
	default:
		d.own()
		if d.at > len(d.chunk)/2 { // otherwise it would grow without limit if the last frame is never taken
			d.chunk, d.at = append(d.chunk[:0], d.chunk[d.at:]...), 0
		}
		d.chunk = append(d.chunk, chunk...)
	}
}

// own copies the rest of the chunk.
func (d *FrameDecoder) own() {
	if !d.owned {
		d.chunk, d.at, d.owned = bytes.Clone(d.chunk[d.at:]), 0, true
	}
}

// Frames feeds a chunk and ranges over the frames that are now whole, and the error after them, if there is one. The chunk
// may change after the loop. If the loop was left early, the other frames are kept and come first in the next loop.
func (d *FrameDecoder) Frames(chunk []byte) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		d.Feed(chunk)
		defer d.own()
		for {
			frame, ok, err := d.Next()
			if !ok && err == nil || !yield(frame, err) || err != nil {
				return
			}
		}
	}
}

// Next returns the next frame, which the caller may keep. ok is false if more bytes are needed, or if there is an error.
// The error is a *FrameError. The decoder has then failed, and returns the same error again.
func (d *FrameDecoder) Next() (frame Frame, ok bool, err error) {
	if d.err != nil {
		return Frame{}, false, d.err
	}
	if len(d.partial) == 0 {
		if rest := d.chunk[d.at:]; len(rest) >= 2*d.width {
			total, header := d.layout.word(rest), d.layout.word(rest[d.width:])
			if d.valid(total, header) && total <= uint64(len(rest)) {
				d.at += int(total)
				return d.frame(bytes.Clone(rest[:total]), header), true, nil
			}
		}
	}
	for {
		if !d.gather() {
			if d.finished && len(d.partial) > 0 {
				d.truncated()
			}
			return Frame{}, false, d.err
		}
		if d.checked == 2 {
			whole, header := d.partial, d.header
			d.partial, d.checked = nil, 0
			return d.frame(whole, header), true, nil
		}
		if !d.check() {
			return Frame{}, false, d.err
		}
	}
}

// Finish tells the decoder that no more bytes will come. The error is a *FrameError with CodeTruncatedFrame, if the stream
// stopped inside a frame. Whole frames that were not taken yet can still be taken. The error then comes after them.
func (d *FrameDecoder) Finish() error {
	d.finished = true
	if d.err == nil && d.at == len(d.chunk) && len(d.partial) > 0 {
		d.truncated()
	}
	return d.err
}

// valid reports whether both length words pass all checks.
func (d *FrameDecoder) valid(total, header uint64) bool {
	words := uint64(2 * d.width)
	return words <= total && total <= d.maxFrame && header <= total-words && header <= d.maxHeader
}

// frame makes a frame of its bytes.
func (d *FrameDecoder) frame(whole []byte, header uint64) Frame {
	first := uint64(2 * d.width)
	cut := first + header
	frame := Frame{whole[first:cut:cut], whole[cut:len(whole):len(whole)], d.index, d.offset}
	d.index++
	d.offset += int64(len(whole))
	return frame
}

// gather moves bytes of the chunk to partial, up to the end of the next length word or of the frame. It reports whether
// that end was reached.
func (d *FrameDecoder) gather() bool {
	wanted := d.total
	if d.checked < 2 {
		wanted = uint64((d.checked + 1) * d.width)
	}
	missing := wanted - uint64(len(d.partial))
	rest := d.chunk[d.at:]
	arrived := int(min(missing, uint64(len(rest))))
	d.grow(arrived, wanted)
	d.partial = append(d.partial, rest[:arrived]...)
	d.at += arrived
	if d.at == len(d.chunk) {
		d.chunk, d.at = nil, 0
	}
	return uint64(arrived) == missing
}

// grow makes space in partial for more bytes. The capacity at least doubles, so that each byte is moved once on average,
// but is never larger than the frame.
func (d *FrameDecoder) grow(more int, wanted uint64) {
	needed := len(d.partial) + more
	if needed <= cap(d.partial) {
		return
	}
	size := max(needed, 64)
	if d.checked == 2 {
		size = int(min(max(uint64(needed), 2*uint64(cap(d.partial))), wanted))
	}
	d.partial = append(make([]byte, 0, size), d.partial...)
}

// space is where the next bytes of a large frame can be read to directly. It is nil for a small frame. The caller reports
// with arrived how many bytes were read.
func (d *FrameDecoder) space() []byte {
	missing := d.total - uint64(len(d.partial))
	if d.checked < 2 || d.err != nil || d.at < len(d.chunk) || missing < readSize {
		return nil
	}
	d.grow(min(int(missing), max(readSize, cap(d.partial)-len(d.partial))), d.total)
	return d.partial[len(d.partial):cap(d.partial)]
}

func (d *FrameDecoder) arrived(n int) { d.partial = d.partial[:len(d.partial)+n] }

// check checks the length word that has just arrived, T before H.
func (d *FrameDecoder) check() bool {
	if d.checked == 0 {
		switch total := d.layout.word(d.partial); {
		case total < uint64(2*d.width):
			message := fmt.Sprintf("T is %d, but a frame has at least %d bytes", total, 2*d.width)
			d.fail(CodeInvalidLength, 0, message+d.likelyCause())
		case total > d.maxFrame:
			message := fmt.Sprintf("T is %d, above the limit of %d bytes", total, d.maxFrame)
			d.fail(CodeFrameTooLarge, 0, message+d.likelyCause())
		default:
			d.total = total
		}
	} else {
		left := d.total - uint64(2*d.width)
		switch header := d.layout.word(d.partial[d.width:]); {
		case header > left:
			message := fmt.Sprintf("H is %d, but T is %d and leaves %d bytes", header, d.total, left)
			d.fail(CodeInvalidLength, d.width, message+d.likelyCause())
		case header > d.maxHeader:
			d.fail(CodeHeaderTooLarge, d.width, fmt.Sprintf("H is %d, above the limit of %d bytes", header, d.maxHeader))
		default:
			d.header = header
		}
	}
	d.checked++
	return d.err == nil
}

func (d *FrameDecoder) truncated() {
	of := ""
	if d.checked > 0 {
		of = fmt.Sprintf(" of %d", d.total)
	}
	message := fmt.Sprintf("the stream ended inside a frame, after %d%s bytes", len(d.partial), of)
	if d.index == 0 {
		message += d.likelyCause()
	}
	d.fail(CodeTruncatedFrame, 0, message)
}

// fail sets the error and releases all memory.
func (d *FrameDecoder) fail(code Code, at int, message string) {
	d.err = &FrameError{Code: code, Index: d.index, Offset: d.offset + int64(at), Message: message}
	d.chunk, d.at, d.partial = nil, 0, nil
}

var beginnings = []struct{ bytes, cause string }{
	{"\x1f\x8b", "gzip: was its Content-Encoding not undone?"},
	{"HTTP", "an HTTP response with its head still on?"},
	{"<", "an error page?"},
	{"RIFF", "a WAV file instead of frames?"},
	{"data", "server-sent events?"},
	{"even", "server-sent events?"},
	{"{", "JSON without frames?"},
	{"[", "JSON without frames?"},
}

// likelyCause is the likely cause of a wrong length word, as the end of its message. It is empty if there is no guess.
func (d *FrameDecoder) likelyCause() string {
	if d.index > 0 {
		return ": was the frame before it written with a wrong length, or were bytes lost?"
	}
	head := d.partial[:min(4, len(d.partial))]
	for _, beginning := range beginnings {
		if bytes.HasPrefix(head, []byte(beginning.bytes)) {
			return fmt.Sprintf(": the stream starts with %q, %s", head, beginning.cause)
		}
	}
	if len(head) == 4 && head[0] == 0 && head[1] == 0 && (head[2] != 0 || head[3] != 0) {
		return ": the other byte order?"
	}
	if len(head) == 0 || bytes.ContainsFunc(head, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return fmt.Sprintf(": the stream starts with %q, text instead of frames?", head)
}

const readSize = 64 << 10

// ReadFrames ranges over the frames of r, to its end, control frames included. If there is an error, it is in the last pair:
// a *FrameError, or the error of a reader that failed between two frames. If the reader failed inside a frame, the error is
// a truncated frame that wraps the error of the reader. It takes the options of [NewFrameDecoder].
func ReadFrames(r io.Reader, opts ...FrameOption) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		decoder := NewFrameDecoder(opts...)
		source := source{reader: r}
		for {
			frame, ok, err := decoder.Next()
			switch {
			case err != nil:
				yield(Frame{}, withCause(err, source.err))
				return
			case ok:
				if !yield(frame, nil) {
					return
				}
			case decoder.finished:
				if source.err != io.EOF {
					yield(Frame{}, source.err)
				}
				return
			default:
				source.fill(decoder)
			}
		}
	}
}

// withCause adds the error of the reader to a truncated frame.
func withCause(err, cause error) error {
	if failure, ok := err.(*FrameError); ok && failure.Code == CodeTruncatedFrame && failure.Err == nil && cause != io.EOF {
		failure.Err = cause
	}
	return err
}

// source reads for a decoder. It reads into its own buffer, or for a large frame directly into the frame.
type source struct {
	reader io.Reader
	buffer []byte
	err    error // the error of the last read, io.EOF at the end
}

// fill feeds the bytes of one read. At the end of the bytes it finishes the decoder.
func (s *source) fill(d *FrameDecoder) {
	for range 100 {
		if s.err != nil {
			_ = d.Finish() // Next returns its error
			return
		}
		var n int
		if space := d.space(); space != nil {
			n, s.err = s.reader.Read(space)
			d.arrived(n)
		} else {
			if s.buffer == nil {
				s.buffer = make([]byte, readSize)
			}
			n, s.err = s.reader.Read(s.buffer)
			d.Feed(s.buffer[:n])
		}
		if n > 0 {
			return
		}
	}
	if s.err == nil {
		s.err = io.ErrNoProgress
	}
}
