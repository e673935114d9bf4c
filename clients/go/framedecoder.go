package objectstreaming

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// FrameDecoder turns bytes, as a transport cuts them, into frames. It does no input or output: give it bytes with Feed,
// take frames with Next until there is none, and call Finish where the bytes end.
//
// Frames that lie whole in a chunk are cut out of it. Of one that does not, the bytes gather in partial, which grows
// with what has arrived and never because a length word claims it. Each length word is judged as soon as it is there.
// No byte is looked at twice, so the cost is linear however the bytes were cut.
type FrameDecoder struct {
	options
	width    int
	chunk    []byte // what Feed was given, from at on not yet looked at
	at       int
	owned    bool   // chunk is our own copy
	partial  []byte // the beginning of a frame that lies in several chunks
	judged   int    // how many of its length words have been judged
	total    uint64 // its T, once judged
	header   uint64 // its H, once judged
	index    int64
	offset   int64
	finished bool
	err      error
}

// NewFrameDecoder makes a decoder of one stream. Its options are [WithMaxFrame], [WithMaxHeader] and [WithLayout].
func NewFrameDecoder(opts ...Option) *FrameDecoder {
	made := optionsOf(opts)
	return &FrameDecoder{options: made, width: made.layout.width()}
}

// Position is how many frames have been delivered.
func (d *FrameDecoder) Position() int64 { return d.index }

// Offset is how many bytes these frames took: where the next one begins.
func (d *FrameDecoder) Offset() int64 { return d.offset }

// Buffered is how many bytes have been fed beyond Offset.
func (d *FrameDecoder) Buffered() int { return len(d.partial) + len(d.chunk) - d.at }

var errFedAfterFinish = errors.New("objectstreaming: Feed after Finish: the stream was said to have ended")

// Feed takes a chunk. It is kept, not copied, so it must not change before Next has asked for more. After Finish it
// panics.
func (d *FrameDecoder) Feed(chunk []byte) {
	switch {
	case d.finished:
		panic(errFedAfterFinish)
	case d.err != nil:
	case d.at == len(d.chunk):
		d.chunk, d.at, d.owned = chunk, 0, false
	default:
		d.own()
		if d.at > len(d.chunk)/2 { // or a reader that never takes the last frame would make it grow for ever
			d.chunk, d.at = append(d.chunk[:0], d.chunk[d.at:]...), 0
		}
		d.chunk = append(d.chunk, chunk...)
	}
}

// own makes a copy of what is left of the chunk.
func (d *FrameDecoder) own() {
	if !d.owned {
		d.chunk, d.at, d.owned = bytes.Clone(d.chunk[d.at:]), 0, true
	}
}

// Frames feeds a chunk and ranges over the frames that are now whole, and the error after them, if there is one. The
// chunk may change once the loop has ended, however it ended: what was not taken is kept, and comes first in the next.
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

// Next returns the next frame. It is the caller's to keep. ok is false if more bytes are needed, or if there is an error,
// a *FrameError, after which the decoder is dead and returns the same again.
func (d *FrameDecoder) Next() (frame Frame, ok bool, err error) {
	if d.err != nil {
		return Frame{}, false, d.err
	}
	if len(d.partial) == 0 {
		if rest := d.chunk[d.at:]; len(rest) >= 2*d.width {
			total, header := d.layout.word(rest), d.layout.word(rest[d.width:])
			if d.sound(total, header) && total <= uint64(len(rest)) {
				d.at += int(total)
				return d.deliver(bytes.Clone(rest[:total]), header), true, nil
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
		if d.judged == 2 {
			whole, header := d.partial, d.header
			d.partial, d.judged = nil, 0
			return d.deliver(whole, header), true, nil
		}
		if !d.judge() {
			return Frame{}, false, d.err
		}
	}
}

// Finish says that no more bytes will come. The error is a *FrameError, CodeTruncatedFrame, if the stream stopped inside a
// frame. Whole frames that have not been taken can still be taken, and the error then comes after them.
func (d *FrameDecoder) Finish() error {
	d.finished = true
	if d.err == nil && d.at == len(d.chunk) && len(d.partial) > 0 {
		d.truncated()
	}
	return d.err
}

// sound reports whether both length words may be true.
func (d *FrameDecoder) sound(total, header uint64) bool {
	words := uint64(2 * d.width)
	return words <= total && total <= d.maxFrame && header <= total-words && header <= d.maxHeader
}

// deliver makes a frame of its bytes.
func (d *FrameDecoder) deliver(whole []byte, header uint64) Frame {
	first := uint64(2 * d.width)
	cut := first + header
	frame := Frame{whole[first:cut:cut], whole[cut:len(whole):len(whole)], d.index, d.offset}
	d.index++
	d.offset += int64(len(whole))
	return frame
}

// gather moves bytes of the chunk to partial, up to where there is something to judge or the frame ends, and reports
// whether it came there.
func (d *FrameDecoder) gather() bool {
	wanted := d.total
	if d.judged < 2 {
		wanted = uint64((d.judged + 1) * d.width)
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

// grow makes room for more bytes: at least doubled, so that each is moved once on average, but not beyond the frame.
func (d *FrameDecoder) grow(more int, wanted uint64) {
	needed := len(d.partial) + more
	if needed <= cap(d.partial) {
		return
	}
	size := max(needed, 64)
	if d.judged == 2 {
		size = int(min(max(uint64(needed), 2*uint64(cap(d.partial))), wanted))
	}
	d.partial = append(make([]byte, 0, size), d.partial...)
}

// room is where the next bytes of a large frame may be read to directly; empty if that is not worth it. What was read is
// then said with arrived.
func (d *FrameDecoder) room() []byte {
	missing := d.total - uint64(len(d.partial))
	if d.judged < 2 || d.err != nil || d.at < len(d.chunk) || missing < readSize {
		return nil
	}
	d.grow(min(int(missing), max(readSize, cap(d.partial)-len(d.partial))), d.total)
	return d.partial[len(d.partial):cap(d.partial)]
}

func (d *FrameDecoder) arrived(n int) { d.partial = d.partial[:len(d.partial)+n] }

// judge looks at the length word that has just come, in field order.
func (d *FrameDecoder) judge() bool {
	if d.judged == 0 {
		switch total := d.layout.word(d.partial); {
		case total < uint64(2*d.width):
			d.fail(CodeInvalidLength, 0, fmt.Sprintf("T is %d, and the smallest frame is %d bytes", total, 2*d.width), d.suspicion())
		case total > d.maxFrame:
			d.fail(CodeFrameTooLarge, 0, fmt.Sprintf("T is %d, above the limit of %d bytes", total, d.maxFrame), d.suspicion())
		default:
			d.total = total
		}
	} else {
		left := d.total - uint64(2*d.width)
		switch header := d.layout.word(d.partial[d.width:]); {
		case header > left:
			message := fmt.Sprintf("H is %d, but T is %d and leaves %d bytes", header, d.total, left)
			d.fail(CodeInvalidLength, d.width, message, d.suspicion())
		case header > d.maxHeader:
			d.fail(CodeHeaderTooLarge, d.width, fmt.Sprintf("H is %d, above the limit of %d bytes", header, d.maxHeader), "")
		default:
			d.header = header
		}
	}
	d.judged++
	return d.err == nil
}

func (d *FrameDecoder) truncated() {
	of := ""
	if d.judged > 0 {
		of = fmt.Sprintf(" of %d", d.total)
	}
	suspicion := ""
	if d.index == 0 {
		suspicion = d.suspicion()
	}
	d.fail(CodeTruncatedFrame, 0, fmt.Sprintf("the stream ended inside a frame, after %d%s bytes", len(d.partial), of), suspicion)
}

// fail lets go of what is held: a dead decoder costs nothing.
func (d *FrameDecoder) fail(code Code, at int, message, suspicion string) {
	d.err = &FrameError{Code: code, Index: d.index, Offset: d.offset + int64(at), Message: message + suspicion}
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

// suspicion is the likely cause of a bad length word, to end its message with.
func (d *FrameDecoder) suspicion() string {
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
	return ""
}

const readSize = 64 << 10

// ReadFrames ranges over the frames of r, to its end. Control frames are frames like any other. The last pair has an
// error if there was one: a *FrameError, or the reader's own if it failed between two frames; a reader that failed inside
// one is a truncated frame that wraps its error. The options are those of [NewFrameDecoder].
func ReadFrames(r io.Reader, opts ...Option) iter.Seq2[Frame, error] {
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

// withCause tells a truncated frame why the reading stopped.
func withCause(err, cause error) error {
	if failure, ok := err.(*FrameError); ok && failure.Code == CodeTruncatedFrame && failure.Err == nil && cause != io.EOF {
		failure.Err = cause
	}
	return err
}

// source reads for a decoder: into a buffer of its own, or, for large frames, to where their bytes belong.
type source struct {
	reader io.Reader
	buffer []byte
	err    error // why there is no more, once there is not
}

// fill feeds what one read gives, and finishes the decoder where the bytes end.
func (s *source) fill(d *FrameDecoder) {
	for range 100 {
		if s.err != nil {
			_ = d.Finish() // Next tells
			return
		}
		var n int
		if room := d.room(); room != nil {
			n, s.err = s.reader.Read(room)
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
	s.err = io.ErrNoProgress
}
