package objectstreaming

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Workload T: 10,000 messages of {"status","reason"} + {"answer","source"}.
const benchFrames = 10_000

type benchStatus struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
}

type benchAnswer struct {
	Answer string `json:"answer"`
	Source string `json:"source"`
}

func benchMessage(n int) (benchStatus, benchAnswer) {
	return benchStatus{"success", ""}, benchAnswer{
		fmt.Sprintf("Sentence number %d of the answer, as long as sentences are.", n), fmt.Sprintf("guide.md#chapter-%d", n%17),
	}
}

func benchWire(tb testing.TB) []byte {
	encoder := NewStreamEncoder(JSON[benchStatus, benchAnswer]())
	wire, err := encoder.AppendOpen(nil, Open{})
	for n := range benchFrames {
		header, payload := benchMessage(n)
		if err == nil {
			wire, err = encoder.AppendData(wire, header, payload)
		}
	}
	if err == nil {
		wire, err = encoder.AppendEnd(wire, nil, nil)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return wire
}

// pair is the message of the alternative: the same members in one JSON text after a length word.
type pair[H, P any] struct {
	Header  H `json:"h"`
	Payload P `json:"p"`
}

func prefixedWire(tb testing.TB) []byte {
	var wire []byte
	for n := range benchFrames {
		header, payload := benchMessage(n)
		text, err := json.Marshal(pair[benchStatus, benchAnswer]{header, payload})
		if err != nil {
			tb.Fatal(err)
		}
		wire = binary.LittleEndian.AppendUint32(wire, uint32(len(text)))
		wire = append(wire, text...)
	}
	return wire
}

// readPrefixed is the usual alternative in Go: bufio, a length word, encoding/json.
func readPrefixed[H, P any](r io.Reader, take func(H, P)) error {
	buffered := bufio.NewReaderSize(r, readSize)
	var word [4]byte
	var text []byte
	for {
		if _, err := io.ReadFull(buffered, word[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		size := int(binary.LittleEndian.Uint32(word[:]))
		if size > DefaultMaxFrame {
			return bufio.ErrTooLong
		}
		if size > cap(text) {
			text = make([]byte, size)
		}
		text = text[:size]
		if _, err := io.ReadFull(buffered, text); err != nil {
			return err
		}
		var message pair[H, P]
		if err := json.Unmarshal(text, &message); err != nil {
			return err
		}
		take(message.Header, message.Payload)
	}
}

// readLines reads JSON lines, which need no framing.
func readLines[H, P any](r io.Reader, take func(H, P)) error {
	decoder := json.NewDecoder(r)
	for {
		var message pair[H, P]
		if err := decoder.Decode(&message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		take(message.Header, message.Payload)
	}
}

func linesWire(tb testing.TB) []byte {
	var wire bytes.Buffer
	encoder := json.NewEncoder(&wire)
	for n := range benchFrames {
		header, payload := benchMessage(n)
		if err := encoder.Encode(pair[benchStatus, benchAnswer]{header, payload}); err != nil {
			tb.Fatal(err)
		}
	}
	return wire.Bytes()
}

// pieces returns at most size bytes per read.
type pieces struct {
	data []byte
	size int
}

func (p *pieces) Read(dst []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(dst[:min(len(dst), p.size)], p.data)
	p.data = p.data[n:]
	return n, nil
}

// BenchmarkT reads workload T in turns with this package, with bufio, a length word and encoding/json, and as JSON lines. It
// reports the medians and their ratios.
func BenchmarkT(b *testing.B) {
	b.Run("typed", benchT[benchStatus, benchAnswer])
	b.Run("maps", benchT[map[string]any, any])
}

func benchT[H, P any](b *testing.B) {
	ours, theirs, lines := benchWire(b), prefixedWire(b), linesWire(b)
	var oursTook, theirsTook, linesTook []time.Duration
	for b.Loop() {
		began, seen := time.Now(), 0
		for _, err := range NewDecoder(&pieces{ours, readSize}, JSON[H, P]()).All() {
			if err != nil {
				b.Fatal(err)
			}
			seen++
		}
		oursTook = append(oursTook, time.Since(began))
		began = time.Now()
		err := readPrefixed(&pieces{theirs, readSize}, func(H, P) { seen++ })
		theirsTook = append(theirsTook, time.Since(began))
		began = time.Now()
		err = errors.Join(err, readLines(&pieces{lines, readSize}, func(H, P) { seen++ }))
		linesTook = append(linesTook, time.Since(began))
		if err != nil || seen != 3*benchFrames {
			b.Fatal(seen, "messages,", err)
		}
	}
	us, them, line := median(oursTook), median(theirsTook), median(linesTook)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us/benchFrames, "ours-ns/message")
	b.ReportMetric(them/benchFrames, "encoding/json-ns/message")
	b.ReportMetric(them/us, "times-ours")
	b.ReportMetric(line/benchFrames, "lines-ns/message")
	b.ReportMetric(line/us, "lines-times-ours")
}

func median(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2])
}

func perMessage(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchFrames, "ns/message")
}

// BenchmarkFrames reads workload T as frames alone.
func BenchmarkFrames(b *testing.B) {
	wire := benchWire(b)
	for b.Loop() {
		for _, err := range ReadFrames(&pieces{wire, readSize}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	perMessage(b)
}

// BenchmarkEncodeT writes workload T.
func BenchmarkEncodeT(b *testing.B) {
	for b.Loop() {
		encoder := NewEncoder(io.Discard, JSON[benchStatus, benchAnswer]())
		for n := range benchFrames {
			header, payload := benchMessage(n)
			if err := encoder.Encode(header, payload); err != nil {
				b.Fatal(err)
			}
		}
	}
	perMessage(b)
}

// BenchmarkOneByteChunks reads frames of 256 KiB and 4 MiB byte by byte. The time per byte is the same for both.
func BenchmarkOneByteChunks(b *testing.B) {
	for _, size := range []int{256 << 10, 4 << 20} {
		wire, _ := AppendFrame(nil, []byte("{}"), make([]byte, size))
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			for b.Loop() {
				decoder := NewFrameDecoder()
				for i := range wire {
					decoder.Feed(wire[i : i+1])
					if _, _, err := decoder.Next(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(wire)), "ns/byte")
		})
	}
}

// BenchmarkGiB reads 1,024 frames of 1 MiB each, and reports the growth of the heap.
func BenchmarkGiB(b *testing.B) {
	frame, _ := AppendFrame(nil, []byte("{}"), bytes.Repeat([]byte{7}, 1<<20))
	var peak, before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.SetBytes(int64(1024 * len(frame)))
	for b.Loop() {
		n := 0
		for _, err := range NewDecoder(&repeated{frame: frame, times: 1024}, Raw[map[string]any]()).All() {
			if err != nil {
				b.Fatal(err)
			}
			if n++; n%128 == 0 {
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				peak.HeapAlloc = max(peak.HeapAlloc, now.HeapAlloc)
			}
		}
	}
	b.ReportMetric(float64(peak.HeapAlloc-min(before.HeapAlloc, peak.HeapAlloc))/(1<<20), "heap-MiB")
}

// repeated is a reader that returns the same frame several times.
type repeated struct {
	frame     []byte
	at, times int
}

func (r *repeated) Read(dst []byte) (int, error) {
	if r.times == 0 {
		return 0, io.EOF
	}
	n := copy(dst, r.frame[r.at:])
	if r.at += n; r.at == len(r.frame) {
		r.at = 0
		r.times--
	}
	return n, nil
}
