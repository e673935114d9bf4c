package objectstreaming

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// FuzzFrames: for all bytes, the frames and the error are the same for all chunkings, the error is a documented one, and the
// memory held is bounded by the bytes fed.
func FuzzFrames(f *testing.F) {
	golden := []byte("\x18\x00\x00\x00\x08\x00\x00\x00{\"a\": 1}{\"b\": 2}")
	f.Add(golden, uint8(3))
	f.Add(append(golden, golden[:20]...), uint8(7))
	f.Add(append(golden, 0, 0, 0, 0), uint8(1))
	f.Add([]byte("\x0a\x00\x00\x00\x03\x00\x00\x00{}"), uint8(2))
	f.Add([]byte("<html>"), uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(checkChunkings)
}

func checkChunkings(t *testing.T, wire []byte, size uint8) {
	whole := decodedAs(t, wire, max(1, len(wire)))
	for _, cut := range []int{1, int(size) + 1} {
		if other := decodedAs(t, wire, cut); other != whole {
			t.Fatalf("in chunks of %d: %s\nas a whole: %s", cut, other, whole)
		}
	}
	if messages, other := messagesOf(t, wire, max(1, len(wire))), messagesOf(t, wire, 1); messages != other {
		t.Fatalf("messages bytewise: %s\nas a whole: %s", other, messages)
	}
}

func decodedAs(t *testing.T, wire []byte, size int) (reported string) {
	t.Helper()
	decoder := NewFrameDecoder(WithMaxFrame(1<<12), WithMaxHeader(1<<10))
	note := func(err error) string {
		var failure *FrameError
		if err != nil && !errors.As(err, &failure) {
			t.Fatalf("an undocumented error: %v", err)
		}
		return fmt.Sprintf("%s%v at %d", reported, err, decoder.Offset())
	}
	fed := 0
	for ; fed < len(wire); fed += size {
		chunk := wire[fed:min(fed+size, len(wire))]
		for frame, err := range decoder.Frames(chunk) {
			if err != nil {
				return note(err)
			}
			reported += fmt.Sprintf("%d@%d %x:%x ", frame.Index, frame.Offset, frame.Header, frame.Payload)
		}
		if held := cap(decoder.partial); held > 64+2*(fed+len(chunk)) {
			t.Fatalf("%d bytes are held after %d", held, fed+len(chunk))
		}
	}
	return note(decoder.Finish())
}

func messagesOf(t *testing.T, wire []byte, size int) (reported string) {
	t.Helper()
	decoder := NewStreamDecoder(JSON[map[string]any, any](), WithMaxFrame(1<<12))
	note := func(err error) {
		if CodeOf(err) == "" {
			t.Fatalf("an undocumented error: %v", err)
		}
		reported += err.Error() + " "
	}
	for at := 0; at < len(wire); at += size {
		decoder.Feed(wire[at:min(at+size, len(wire))])
		for {
			message, ok, err := decoder.Next()
			var refused *PayloadError
			if err != nil {
				if note(err); !errors.As(err, &refused) {
					return reported
				}
			} else if ok {
				reported += fmt.Sprint(message, " ")
			} else {
				break
			}
		}
	}
	if err := decoder.Finish(); err != nil {
		note(err)
	}
	return reported + string(decoder.Trailers())
}

// FuzzStrictJSON: the parser accepts the texts that encoding/json accepts, except those that the specification refuses, and
// reads the same values.
func FuzzStrictJSON(f *testing.F) {
	for _, text := range jsonTexts {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkAgainstEncodingJSON(t, text) })
}

// The checks of the fuzz targets in a normal test run: on a fixed set of streams and texts that are damaged in one or two
// places.
func TestDamagedInputs(t *testing.T) {
	random := rand.New(rand.NewPCG(20261120, 4))
	encoder := NewStreamEncoder(JSON[map[string]any, any]())
	var wire []byte
	for n := range 4 {
		wire, _ = encoder.AppendData(wire, map[string]any{"n": n}, []any{"é", nil, 1.5})
		wire, _ = encoder.AppendPing(wire)
	}
	wire, _ = encoder.AppendEnd(wire, map[string]int{"n": 4}, nil)
	for range 4000 {
		checkChunkings(t, damaged(random, wire), uint8(random.Uint32()))
		text := jsonTexts[random.IntN(len(jsonTexts))]
		if len(text) < 1000 {
			checkAgainstEncodingJSON(t, damaged(random, []byte(text)))
		}
	}
}

const special = "\x00\x01\x08\x0a\xff\xed{}[]\",:\\u0dD8e.-9 n"

// damaged is a copy with one or two changes: a byte is replaced or inserted, or the end is cut off.
func damaged(random *rand.Rand, good []byte) []byte {
	bad := append([]byte(nil), good...)
	for range 1 + random.IntN(2) {
		at := random.IntN(len(bad) + 1)
		c := special[random.IntN(len(special))]
		switch random.IntN(4) {
		case 0:
			bad = append(bad[:at], append([]byte{c}, bad[at:]...)...)
		case 1:
			bad = bad[:at]
		default:
			if at < len(bad) {
				bad[at] = c
			}
		}
	}
	return bad
}
