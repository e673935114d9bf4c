package objectstreaming

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func frameOf(tb testing.TB, header, payload string) []byte {
	tb.Helper()
	wire, err := AppendFrame(nil, []byte(header), []byte(payload))
	if err != nil {
		tb.Fatal(err)
	}
	return wire
}

func TestTheCallerMayKeepFrames(t *testing.T) {
	wire := bytes.Repeat(frameOf(t, `{"a":1}`, "payload"), 3)
	for size := 1; size <= len(wire); size++ {
		var kept []Frame
		decoder := NewFrameDecoder()
		buffer := make([]byte, size)
		for at := 0; at < len(wire); at += size {
			n := copy(buffer, wire[at:])
			for frame, err := range decoder.Frames(buffer[:n]) {
				if err != nil {
					t.Fatal(err)
				}
				kept = append(kept, frame)
			}
			clear(buffer) // a reader uses its buffer again
		}
		if len(kept) != 3 {
			t.Fatalf("chunks of %d: %d frames", size, len(kept))
		}
		for i, frame := range kept {
			if string(frame.Header) != `{"a":1}` || string(frame.Payload) != "payload" || frame.Index != int64(i) {
				t.Fatalf("chunks of %d: frame %d is %s + %s", size, i, frame.Header, frame.Payload)
			}
		}
		header := kept[0].Header
		_ = append(header, "overwritten"...)
		if string(kept[0].Payload) != "payload" {
			t.Fatal("appending to a header reaches the payload")
		}
	}
}

func TestFramesOfALoopThatWasLeftComeInTheNextLoop(t *testing.T) {
	wire := bytes.Repeat(frameOf(t, "{}", "x"), 5)
	decoder := NewFrameDecoder()
	chunk := bytes.Clone(wire)
	for range decoder.Frames(chunk) {
		break
	}
	clear(chunk)
	var indexes []int64
	for frame, err := range decoder.Frames(wire[:11]) {
		if err != nil {
			t.Fatal(err)
		}
		indexes = append(indexes, frame.Index)
	}
	if len(indexes) != 5 || indexes[0] != 1 || indexes[4] != 5 {
		t.Errorf("frames %v, not 1 to 5", indexes)
	}
	if decoder.Buffered() != 0 || decoder.Offset() != 66 || decoder.Position() != 6 {
		t.Errorf("buffered %d, offset %d, position %d", decoder.Buffered(), decoder.Offset(), decoder.Position())
	}
}

func TestChunksMayBeFedBeforeTheFramesAreTaken(t *testing.T) {
	wire := bytes.Repeat(frameOf(t, "{}", "abc"), 4)
	decoder := NewFrameDecoder()
	for i := range wire {
		decoder.Feed(wire[i : i+1])
	}
	if err := decoder.Finish(); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if frame, ok, err := decoder.Next(); !ok || err != nil || string(frame.Payload) != "abc" {
			t.Fatalf("frame %d: %v %v", i, ok, err)
		}
	}
	if _, ok, err := decoder.Next(); ok || err != nil {
		t.Errorf("after the last: %v %v", ok, err)
	}
}

func TestFramesThatWereNotTakenComeBeforeTheErrorOfFinish(t *testing.T) {
	wire := append(frameOf(t, "{}", "abc"), 12, 0)
	decoder := NewFrameDecoder()
	decoder.Feed(wire)
	if err := decoder.Finish(); err != nil {
		t.Fatal(err)
	}
	if frame, ok, err := decoder.Next(); !ok || err != nil || string(frame.Payload) != "abc" {
		t.Fatal(ok, err)
	}
	if _, ok, err := decoder.Next(); ok || !errors.Is(err, CodeTruncatedFrame) {
		t.Error(ok, err)
	}

	stream := NewStreamDecoder(Raw[map[string]any]())
	stream.Feed(frameOf(t, `{"$stream":{"type":"ping"}}`, ""))
	if err := stream.Finish(); err != nil || stream.Buffered() == 0 {
		t.Fatal(err)
	}
	if _, ok, err := stream.Next(); ok || !errors.Is(err, CodeStreamIncomplete) {
		t.Error(ok, err)
	}
}

func TestAnInvalidLayoutPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("length words of 9 bytes")
		}
	}()
	WithLayout(Layout{ByteLength: 9})
}

func TestErrorsAsTextAndInALog(t *testing.T) {
	for _, c := range []struct {
		err          error
		text, logged string
	}{
		{&FrameError{CodeTruncatedFrame, 1, 2, "cut", io.EOF}, "truncated_frame: cut (frame 1, byte 2): EOF", "code=truncated_frame frame=1 byte=2"},
		{&PayloadError{1, 2, "no JSON", nil}, "invalid_payload: no JSON (frame 1, byte 2)", "code=invalid_payload frame=1 byte=2"},
		{&ProtocolError{CodeOrderGap, 2, "3 after 1"}, "order_gap: 3 after 1 (frame 2)", "code=order_gap frame=2"},
		{&IncompleteError{CodeIdleTimeout, 4, "silence", nil}, "idle_timeout: silence", "code=idle_timeout position=4"},
		{&CancelError{2, io.EOF}, "the caller ended the stream after 2 data frames: EOF", "position=2"},
		{&StreamError{Code: CodeInternal}, "the peer failed: internal", "code=internal"},
		{&StreamError{Code: CodeInternal, Message: "oh"}, "the peer failed: internal: oh", "code=internal"},
		{&ResponseError{StreamError: StreamError{Code: CodeNotFound, Message: "no"}, Status: 404}, "HTTP 404, not_found: no", "code=not_found status=404"},
		{&ContentTypeError{Message: "text"}, "unexpected_content_type: text", "code=unexpected_content_type"},
		{&EncodeError{"no", io.EOF}, "encode_error: no: EOF", "code=encode_error"},
	} {
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("", slog.Any("e", c.err))
		_, logged, _ := strings.Cut(strings.ReplaceAll(log.String(), "e.", ""), `msg="" `)
		logged, _, _ = strings.Cut(logged, " message=")
		if c.err.Error() != "objectstreaming: "+c.text || logged != c.logged {
			t.Errorf("%s; %s", c.err, logged)
		}
	}
}

func TestAReaderThatIsOneFrameBehindUsesNoMoreMemory(t *testing.T) {
	wire := frameOf(t, "{}", strings.Repeat("x", 1000))
	decoder := NewFrameDecoder()
	decoder.Feed(bytes.Clone(wire))
	for range 1000 {
		decoder.Feed(wire)
		if _, ok, err := decoder.Next(); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if decoder.Buffered() != len(wire) || cap(decoder.chunk) > 8*len(wire) {
		t.Errorf("%d bytes are held for %d", cap(decoder.chunk), decoder.Buffered())
	}
}

func TestAFailedDecoderReturnsTheSameErrorAgain(t *testing.T) {
	decoder := NewFrameDecoder(WithMaxFrame(64))
	decoder.Feed(append(frameOf(t, "{}", ""), 65, 0, 0, 0))
	if _, ok, err := decoder.Next(); !ok || err != nil {
		t.Fatalf("the valid frame comes first, not %v", err)
	}
	_, _, first := decoder.Next()
	decoder.Feed(frameOf(t, "{}", ""))
	_, ok, second := decoder.Next()
	var failure *FrameError
	if ok || first != second || !errors.As(first, &failure) {
		t.Fatalf("%v, then %v", first, second)
	}
	if failure.Code != CodeFrameTooLarge || failure.Index != 1 || failure.Offset != 10 {
		t.Errorf("%v", failure)
	}
	if err := decoder.Finish(); err != first {
		t.Errorf("Finish returns %v", err)
	}
}

func TestFeedAfterFinishPanics(t *testing.T) {
	decoder := NewFrameDecoder()
	_ = decoder.Finish()
	defer func() {
		if recover() == nil {
			t.Error("Feed after Finish did not panic")
		}
	}()
	decoder.Feed([]byte("x"))
}

func TestNothingIsAllocatedOnAClaim(t *testing.T) {
	claim := []byte{0, 0, 0, 1, 2, 0, 0, 0, '{', '}', 1} // T is 16 MiB
	allocated := bytesAllocated(func() {
		for range 100 {
			decoder := NewFrameDecoder()
			for i := range claim {
				decoder.Feed(claim[i : i+1])
				if _, ok, err := decoder.Next(); ok || err != nil {
					t.Fatal(ok, err)
				}
			}
		}
	})
	if allocated/100 > 4<<10 {
		t.Errorf("11 bytes made it allocate %d", allocated/100)
	}
}

func TestOneByteChunksCostLinearMemoryTraffic(t *testing.T) {
	// Each byte is moved a bounded number of times: a frame needs allocations of about three times its size at most.
	for _, size := range []int{1 << 12, 1 << 16, 1 << 20} {
		wire := frameOf(t, "{}", strings.Repeat("x", size))
		allocated := bytesAllocated(func() {
			decoder := NewFrameDecoder()
			frames := 0
			for i := range wire {
				decoder.Feed(wire[i : i+1])
				if _, ok, err := decoder.Next(); err != nil {
					t.Fatal(err)
				} else if ok {
					frames++
				}
			}
			if frames != 1 {
				t.Fatal(frames, "frames")
			}
		})
		if allocated > uint64(3*size+size/8+4096) {
			t.Errorf("a frame of %d bytes, byte by byte, allocated %d", size, allocated)
		}
	}
}

func TestMemoryStaysFlat(t *testing.T) {
	// A short version of BenchmarkGiB: 64 frames of 1 MiB, of which only a few may be in memory at a time.
	frame := frameOf(t, "{}", strings.Repeat("x", 1<<20))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for _, err := range NewDecoder(&repeated{frame: frame, times: 64}, Raw[map[string]any]()).All() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%16 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
				t.Fatalf("after %d MiB the heap has grown by %d bytes", n, grown)
			}
		}
	}
	if n != 64 {
		t.Fatal(n, "frames")
	}
}

// bytesAllocated is the smallest number of bytes that three runs allocate. The runtime counts the whole process, so another
// goroutine may add to one of them.
func bytesAllocated(work func()) uint64 {
	smallest := ^uint64(0)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		work()
		runtime.ReadMemStats(&after)
		smallest = min(smallest, after.TotalAlloc-before.TotalAlloc)
	}
	return smallest
}

func TestReadFramesWorksWithAnyReader(t *testing.T) {
	large := strings.Repeat("x", 3*readSize)
	wire := append(frameOf(t, `{"n":1}`, "small"), frameOf(t, `{"n":2}`, large)...)
	wire = append(wire, frameOf(t, `{"n":3}`, "")...)
	readers := map[string]func(io.Reader) io.Reader{
		"as it is":         func(r io.Reader) io.Reader { return r },
		"a byte a read":    iotest.OneByteReader,
		"half a read":      iotest.HalfReader,
		"data with EOF":    iotest.DataErrReader,
		"nothing at times": func(r io.Reader) io.Reader { return &hesitant{reader: r} },
	}
	for name, reader := range readers {
		var payloads []string
		for frame, err := range ReadFrames(reader(bytes.NewReader(wire))) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			payloads = append(payloads, string(frame.Payload))
		}
		if len(payloads) != 3 || payloads[0] != "small" || payloads[1] != large || payloads[2] != "" {
			t.Errorf("%s: %d frames", name, len(payloads))
		}
	}
}

// hesitant reads nothing on every second call.
type hesitant struct {
	reader io.Reader
	turn   int
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.turn++; h.turn%2 == 0 {
		return 0, nil
	}
	return h.reader.Read(p)
}

func TestReadFramesReturnsTheErrorOfTheReader(t *testing.T) {
	broken := errors.New("the network is down")
	wire := frameOf(t, "{}", "abc")
	for _, size := range []int{0, 5, len(wire), len(wire) + 3} {
		input := append(bytes.Clone(wire), wire...)[:size]
		var last error
		frames := 0
		for _, err := range ReadFrames(io.MultiReader(bytes.NewReader(input), iotest.ErrReader(broken))) {
			if last = err; err == nil {
				frames++
			}
		}
		inside := size%len(wire) != 0
		if !errors.Is(last, broken) || errors.Is(last, CodeTruncatedFrame) != inside || frames != size/len(wire) {
			t.Errorf("after %d bytes: %d frames and %v", size, frames, last)
		}
	}
	stuck := readerFunc(func([]byte) (int, error) { return 0, nil })
	for _, err := range ReadFrames(stuck) {
		if err != io.ErrNoProgress {
			t.Errorf("a reader that returns nothing: %v", err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestMessagesNameTheLikelyCause(t *testing.T) {
	for beginning, cause := range map[string]string{
		"<html>":                   "an error page?",
		"HTTP/1.1 200 OK":          "its head still on?",
		"RIFF....WAVE":             "a WAV file",
		"data: {}":                 "server-sent events?",
		`{"a":1}`:                  "JSON without frames?",
		"\x1f\x8b\x08\xff":         "gzip",
		"Hello":                    "text instead of frames?",
		"\x00\x00\x00\x18\x00\x00": "the other byte order?",
	} {
		for _, err := range ReadFrames(strings.NewReader(beginning)) {
			if err == nil || !strings.Contains(err.Error(), cause) {
				t.Errorf("%q: %v", beginning, err)
			}
		}
	}
}

func TestErrorsAreFoundByCodeAndByType(t *testing.T) {
	cut := &FrameError{Code: CodeTruncatedFrame}
	incomplete := &IncompleteError{Code: CodeStreamIncomplete}
	idle := &IncompleteError{Code: CodeIdleTimeout}
	response := &ResponseError{StreamError: StreamError{Code: CodeNotFound}, Status: 404}
	for _, c := range []struct {
		err, target error
		want        bool
	}{
		{cut, CodeTruncatedFrame, true},
		{cut, io.ErrUnexpectedEOF, true},
		{cut, CodeInvalidLength, false},
		{&FrameError{Code: CodeInvalidLength}, io.ErrUnexpectedEOF, false},
		{incomplete, CodeStreamIncomplete, true},
		{incomplete, io.ErrUnexpectedEOF, true},
		{incomplete, CodeIdleTimeout, false},
		{idle, CodeIdleTimeout, true},
		{idle, CodeStreamIncomplete, true},
		{idle, io.ErrUnexpectedEOF, false},
		{response, CodeNotFound, true},
		{response, CodeUnavailable, false},
		{&PayloadError{Err: io.EOF}, io.EOF, true},
		{&EncodeError{}, CodeEncodeError, true},
		{&ContentTypeError{}, CodeUnexpectedContentType, true},
	} {
		if got := errors.Is(c.err, c.target); got != c.want {
			t.Errorf("errors.Is(%v, %v) is %v", c.err, c.target, got)
		}
	}
	var reported *StreamError
	if !errors.As(error(response), &reported) || reported.Code != CodeNotFound {
		t.Error("a ResponseError is not a StreamError")
	}
	if CodeOf(errors.Join(io.EOF, idle)) != CodeIdleTimeout || CodeOf(io.EOF) != "" || CodeOf(CodeAborted) != CodeAborted {
		t.Error("CodeOf finds the wrong code")
	}
	if CodeResourceExhausted.HTTPStatus() != 429 || CodeInvalidLength.HTTPStatus() != 0 {
		t.Error("HTTPStatus")
	}
}
