package objectstreaming

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

type question struct {
	Text string `json:"text"`
}

func TestTheDecoderReadsTheStreamOfTheEncoder(t *testing.T) {
	var wire bytes.Buffer
	coder := JSON[question, map[string]any]()
	encoder := NewEncoder(&wire, coder)
	steps := []error{
		encoder.Open(Open{Heartbeat: 1500 * time.Millisecond, Metadata: map[string]string{"id": "q7"}}),
		encoder.Encode(question{"é漢😀"}, map[string]any{"n": 1}),
		encoder.Ping(),
		encoder.EncodeFrame(Frame{Header: []byte(` {"text": "relayed"} `), Payload: []byte(`{}`)}),
		encoder.End(map[string]int{"tokens": 7}),
	}
	for i, err := range steps {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	for name, reader := range map[string]io.Reader{
		"as it is": bytes.NewReader(wire.Bytes()), "a byte a read": iotest.OneByteReader(bytes.NewReader(wire.Bytes())),
	} {
		decoder := NewDecoder(reader, coder)
		var got []Message[question, map[string]any]
		for message, err := range decoder.All() {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = append(got, message)
		}
		want := []Message[question, map[string]any]{
			{question{"é漢😀"}, map[string]any{"n": json.Number("1")}}, {question{"relayed"}, map[string]any{}},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", name, got)
		}
		if !decoder.Ended() || decoder.Position() != 2 || decoder.Heartbeat() != 1500*time.Millisecond ||
			string(decoder.Trailers()) != `{"tokens":7}` || string(decoder.Metadata()) != `{"id":"q7"}` {
			t.Errorf("%s: %v %d %v %s %s", name, decoder.Ended(), decoder.Position(), decoder.Heartbeat(), decoder.Trailers(), decoder.Metadata())
		}
		if _, err := decoder.Next(); err != io.EOF {
			t.Errorf("%s: after the end: %v", name, err)
		}
	}
}

func TestAStreamErrorIsWrittenAndRead(t *testing.T) {
	var wire bytes.Buffer
	encoder := NewEncoder(&wire, Raw[map[string]any]())
	failure := &StreamError{Code: CodeNotFound, Message: "no such \xff document", Details: json.RawMessage(`[1]`)}
	if err := errors.Join(encoder.Encode(map[string]any{}, []byte("x")), encoder.Fail(failure)); err != nil {
		t.Fatal(err)
	}
	decoder := NewDecoder(&wire, Raw[map[string]any]())
	var messages int
	var last error
	for _, err := range decoder.All() {
		if last = err; err == nil {
			messages++
		}
	}
	var reported *StreamError
	if !errors.As(last, &reported) || !errors.Is(last, CodeNotFound) || reported.Message != "no such \ufffd document" ||
		string(reported.Details) != `[1]` || messages != 1 || !decoder.Ended() {
		t.Errorf("%d messages and %v", messages, last)
	}
	if _, again := decoder.Next(); again != last {
		t.Errorf("the second time: %v", again)
	}
}

func TestTheEncoderFollowsTheStateTable(t *testing.T) {
	type encoder = StreamEncoder[map[string]any, []byte]
	steps := map[string]func(*encoder) ([]byte, error){
		"open": func(e *encoder) ([]byte, error) { return e.AppendOpen(nil, Open{}) },
		"data": func(e *encoder) ([]byte, error) { return e.AppendData(nil, map[string]any{}, nil) },
		"ping": func(e *encoder) ([]byte, error) { return e.AppendPing(nil) },
		"end":  func(e *encoder) ([]byte, error) { return e.AppendEnd(nil, nil, nil) },
	}
	for dialog, allowed := range map[string]bool{
		"open": true, "data": true, "ping": true, "end": true,
		"open data": true, "data ping": true, "ping end": true, "open end": true,
		"open open": false, "data open": false, "ping open": false,
		"end open": false, "end data": false, "end ping": false, "end end": false,
	} {
		e := NewStreamEncoder(Raw[map[string]any]())
		var wire []byte
		var err error
		for step := range strings.FieldsSeq(dialog) {
			wire, err = steps[step](e)
		}
		if (err == nil) != allowed || allowed != (len(wire) > 0) || !allowed && !errors.Is(err, CodeEncodeError) {
			t.Errorf("%s: %v", dialog, err)
		}
	}
	for name, step := range steps {
		if _, err := step(NewStreamEncoder(Raw[map[string]any](), WithPlain())); (err == nil) != (name == "data") {
			t.Errorf("%s in a plain stream: %v", name, err)
		}
	}
}

func TestARefusedFrameChangesNothing(t *testing.T) {
	e := NewStreamEncoder(JSON[any, any](), WithMaxFrame(100), WithMaxHeader(50))
	refused := map[string]func([]byte) ([]byte, error){
		"a header that is not an object": func(dst []byte) ([]byte, error) { return e.AppendData(dst, []int{1}, nil) },
		"the member $stream":             func(dst []byte) ([]byte, error) { return e.AppendData(dst, map[string]any{"$stream": 1}, nil) },
		"NaN":                            func(dst []byte) ([]byte, error) { return e.AppendData(dst, map[string]any{}, math.NaN()) },
		"a frame too large":              func(dst []byte) ([]byte, error) { return e.AppendData(dst, map[string]any{}, strings.Repeat("x", 100)) },
		"a header too large": func(dst []byte) ([]byte, error) {
			return e.AppendData(dst, map[string]any{strings.Repeat("x", 50): 1}, 1)
		},
		"a forged control frame": func(dst []byte) ([]byte, error) { return e.AppendFrame(dst, Frame{Header: []byte(`{"$stream":{}}`)}) },
		"the same with an escape": func(dst []byte) ([]byte, error) {
			return e.AppendFrame(dst, Frame{Header: []byte(`{"\u0024stream":{}}`)})
		},
		"a frame without a header":        func(dst []byte) ([]byte, error) { return e.AppendFrame(dst, Frame{}) },
		"trailers that are not an object": func(dst []byte) ([]byte, error) { return e.AppendEnd(dst, []int{1}, nil) },
		"metadata that is not an object":  func(dst []byte) ([]byte, error) { return e.AppendOpen(dst, Open{Metadata: "x"}) },
		"a negative heartbeat":            func(dst []byte) ([]byte, error) { return e.AppendOpen(dst, Open{Heartbeat: -1}) },
		"a code that is not one of the sixteen": func(dst []byte) ([]byte, error) {
			return e.AppendEnd(dst, nil, &StreamError{Code: CodeInvalidLength})
		},
		"trailers too large": func(dst []byte) ([]byte, error) {
			return e.AppendEnd(dst, map[string]string{"x": strings.Repeat("x", 50)}, nil)
		},
	}
	for name, step := range refused {
		if dst, err := step([]byte("before")); !errors.Is(err, CodeEncodeError) || string(dst) != "before" {
			t.Errorf("%s: %v, %q", name, err, dst)
		}
	}
	if wire, err := e.AppendOpen(nil, Open{}); err != nil || e.Position() != 0 || len(wire) == 0 {
		t.Errorf("the stream has begun: %v", err)
	}
	if _, err := (Layout{ByteLength: 1}).AppendFrame(nil, []byte("{}"), make([]byte, 252)); !errors.Is(err, CodeEncodeError) {
		t.Errorf("256 bytes in a length word of 1: %v", err)
	}
}

func TestAnErrorIsToldWithoutWhatCannotBeSent(t *testing.T) {
	long := strings.Repeat("x", 200)
	for message, failure := range map[string]*StreamError{
		"no":   {Code: CodeInternal, Message: "no", Details: json.RawMessage(`"` + long + `"`)},
		"none": {Code: CodeInternal, Message: "none", Details: json.RawMessage(`{`)},
		"the message of this error cannot be sent": {Code: CodeInternal, Message: long},
	} {
		wire, err := NewStreamEncoder(JSON[any, any](), WithMaxHeader(160)).AppendEnd(nil, nil, failure)
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewDecoder(bytes.NewReader(wire), JSON[any, any]()).Next()
		var reported *StreamError
		if !errors.As(err, &reported) || reported.Code != CodeInternal || reported.Message != message || reported.Details != nil {
			t.Errorf("%q is read as %v", message, err)
		}
	}
}

func TestOneGoroutineSendsAndAnotherPings(t *testing.T) {
	var wire bytes.Buffer
	encoder := NewEncoder(&wire, JSON[map[string]any, int]())
	const each = 200
	var group sync.WaitGroup
	for _, work := range []func() error{
		encoder.Ping, func() error { return encoder.Encode(map[string]any{}, 1) }, func() error { return encoder.Encode(map[string]any{"two": 2}, 2) },
	} {
		group.Add(1)
		go func() {
			defer group.Done()
			for range each {
				if err := work(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	if err := encoder.End(nil); err != nil || encoder.Position() != 2*each {
		t.Fatal(err, encoder.Position())
	}
	sum := 0
	for message, err := range NewDecoder(&wire, JSON[map[string]any, int]()).All() {
		if err != nil {
			t.Fatal(err)
		}
		sum += message.Payload
	}
	if sum != 3*each {
		t.Errorf("the payloads' sum is %d", sum)
	}
}

func TestAWriterThatFailedIsNotWrittenToAgain(t *testing.T) {
	for broken, want := range map[error]error{errors.New("the disk is full"): nil, nil: io.ErrShortWrite} {
		writes := 0
		encoder := NewEncoder(writerFunc(func([]byte) (int, error) { writes++; return 3, broken }), Raw[map[string]any]())
		for range 2 {
			if err := encoder.Encode(map[string]any{}, nil); err != cmp.Or(want, broken) {
				t.Error(err)
			}
		}
		if writes != 1 {
			t.Errorf("%d writes, the second after a part of a frame", writes)
		}
	}
}

func TestARefusedPayloadDoesNotEndTheStream(t *testing.T) {
	wire := append(frameOf(t, `{"n":1}`, "nope"), frameOf(t, `{"n":2}`, "5")...)
	wire = append(wire, frameOf(t, `{"n":3}`, `"text"`)...)
	decoder := NewDecoder(bytes.NewReader(wire), JSON[map[string]any, int]())
	var payloads []int
	var refused []int64
	for message, err := range decoder.All() {
		var payload *PayloadError
		if errors.As(err, &payload) {
			refused = append(refused, payload.Index)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, message.Payload)
	}
	if !reflect.DeepEqual(payloads, []int{5}) || !reflect.DeepEqual(refused, []int64{0, 2}) || decoder.Position() != 3 {
		t.Errorf("payloads %v, refused %v, position %d", payloads, refused, decoder.Position())
	}
}

// numbered is a coder of a user, whose errors have no type of this package.
type numbered struct{ Coder[object, []byte] }

func (numbered) Name() string { return "numbered" }

func (numbered) Decode(frame Frame) (object, []byte, error) {
	if string(frame.Payload) == "bad" {
		return nil, nil, errors.New("it is bad")
	}
	return nil, frame.Payload, nil
}

func (n numbered) NewOrder() Order[object] { return n }
func (numbered) Follow(_ object, n int64) error {
	return map[int64]error{3: errors.New("3 is too much")}[n]
}
func (numbered) Forget() {}

func TestAnyErrorOfACoderOrItsOrderIsADocumentedOne(t *testing.T) {
	wire := bytes.Join([][]byte{frameOf(t, "{}", "a"), frameOf(t, "{}", "bad"), frameOf(t, "{}", "b"), frameOf(t, "{}", "c")}, nil)
	var told []string
	for message, err := range NewDecoder(bytes.NewReader(wire), numbered{Raw[object]()}).All() {
		told = append(told, fmt.Sprint(string(message.Payload), err))
	}
	wantEqual(t, told, []string{
		"a<nil>", "objectstreaming: invalid_payload: the payload is not what the coder numbered reads: it is bad (frame 1, byte 11)",
		"b<nil>", "objectstreaming: order_gap: 3 is too much (frame 3)",
	})
}

func TestMessagesContinuesAfterALoopThatWasLeft(t *testing.T) {
	encoder := NewStreamEncoder(JSON[map[string]any, any]())
	wire, _ := encoder.AppendOpen(nil, Open{})
	for n := range 4 {
		wire, _ = encoder.AppendData(wire, map[string]any{}, n)
	}
	wire = append(wire, "\x0a\x00\x00\x00\x02\x00\x00\x00[]"...)
	for _, size := range []int{1, 7, len(wire)} {
		decoder := NewStreamDecoder(JSON[map[string]any, int]())
		var got []int
		var last error
		buffer := make([]byte, size)
		for at := 0; at < len(wire) && last == nil; at += size {
			n := copy(buffer, wire[at:])
			for round := range 2 { // the first loop is left, the second one continues
				for message, err := range decoder.Messages(buffer[:n]) {
					if last = err; err == nil {
						got = append(got, message.Payload)
					}
					if round == 0 {
						break
					}
				}
				clear(buffer)
				n = 0
			}
		}
		if !reflect.DeepEqual(got, []int{0, 1, 2, 3}) || !errors.Is(last, CodeInvalidHeader) {
			t.Errorf("chunks of %d: %v, then %v", size, got, last)
		}
	}
}

func TestAReaderThatFailsIsNeverASuccess(t *testing.T) {
	broken := errors.New("the network is down")
	var wire bytes.Buffer
	encoder := NewEncoder(&wire, Raw[map[string]any]())
	_ = encoder.Encode(map[string]any{}, []byte("abc"))
	plain := wire.Len()
	_ = encoder.End(nil)
	for size := range wire.Len() + 1 {
		input := io.MultiReader(bytes.NewReader(wire.Bytes()[:size]), iotest.ErrReader(broken))
		var last error
		for _, err := range NewDecoder(input, Raw[map[string]any]()).All() {
			last = err
		}
		switch {
		case size == wire.Len():
			if last != nil {
				t.Errorf("the stream was whole: %v", last)
			}
		case !errors.Is(last, broken):
			t.Errorf("after %d bytes: %v", size, last)
		case size == 0 || size == plain:
			if !errors.Is(last, CodeStreamIncomplete) {
				t.Errorf("after %d bytes, between two frames: %v", size, last)
			}
		case !errors.Is(last, CodeTruncatedFrame):
			t.Errorf("after %d bytes, inside a frame: %v", size, last)
		}
	}
}
