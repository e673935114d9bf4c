package objectstreaming

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The vectors of the conformance suite, each under many chunkings, as objectstreaming/conformance/README.md wants it.

const vectorsDir = "../../objectstreaming/conformance/vectors"

type vectorSuite struct {
	Suite string       `json:"suite"`
	Op    string       `json:"op"`
	Cases []vectorCase `json:"cases"`
}

type vectorCase struct {
	ID     string   `json:"id"`
	Flags  []string `json:"flags"`
	Limits struct {
		Frame  *int `json:"frame"`
		Header *int `json:"header"`
	} `json:"limits"`
	Layout struct {
		ByteLength int    `json:"byte_length"`
		ByteOrder  string `json:"byte_order"`
	} `json:"layout"`
	Coder      string `json:"coder"`
	RequireEnd *bool  `json:"require_end"`
	Wire       parts  `json:"wire"`
	Header     parts  `json:"header"`
	Payload    parts  `json:"payload"`
	Expect     struct {
		Frames   []expectedFrame `json:"frames"`
		Error    *expectedError  `json:"error"`
		End      string          `json:"end"`
		Trailers json.RawMessage `json:"trailers"`
		Message  string          `json:"message"`
		Position *int64          `json:"position"`
		Wire     *parts          `json:"wire"`
	} `json:"expect"`
	want []string // Expect.Frames, spelled
}

type expectedFrame struct {
	Header  json.RawMessage `json:"header"`
	Payload json.RawMessage `json:"payload"`
	JSON    json.RawMessage `json:"json"`
	Refused string          `json:"refused"`
	Index   int64           `json:"index"`
	Offset  int64           `json:"offset"`
}

type expectedError struct {
	Code   Code   `json:"code"`
	Index  *int64 `json:"index"`
	Offset *int64 `json:"offset"`
	By     *int   `json:"by"`
}

// parts is hex, {"repeat","times"} or {"file"}, one after the other.
type parts []byte

func (p *parts) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		decoded, err := hex.DecodeString(one)
		*p = decoded
		return err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	for _, part := range raw {
		var repeat struct {
			Repeat string `json:"repeat"`
			Times  int    `json:"times"`
			File   string `json:"file"`
		}
		if part[0] == '"' {
			repeat.Times = 1
			if err := json.Unmarshal(part, &repeat.Repeat); err != nil {
				return err
			}
		} else if err := json.Unmarshal(part, &repeat); err != nil {
			return err
		}
		if repeat.File != "" {
			content, err := os.ReadFile(filepath.Join(vectorsDir, repeat.File))
			if err != nil {
				return err
			}
			*p = append(*p, content...)
			continue
		}
		decoded, err := hex.DecodeString(repeat.Repeat)
		if err != nil {
			return err
		}
		*p = append(*p, bytes.Repeat(decoded, repeat.Times)...)
	}
	return nil
}

func TestEveryVectorUnderEveryChunking(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectorsDir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in %s: %v", vectorsDir, err)
	}
	asked := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var suite vectorSuite
		if err := json.Unmarshal(content, &suite); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range suite.Cases {
			if slices.Contains(c.Flags, "msgpack") || slices.Contains(c.Flags, "ndarray") {
				continue // coders that this package does not have
			}
			asked++
			t.Run(c.ID, func(t *testing.T) {
				if suite.Op == "encode" {
					c.encode(t)
					return
				}
				for name, chunks := range chunkings(c.ID, c.Wire) {
					if suite.Op == "decode" {
						c.decode(t, name, chunks)
					} else {
						c.stream(t, name, chunks)
					}
				}
			})
		}
	}
	if asked < 480 {
		t.Errorf("only %d cases were asked", asked)
	}
}

// chunkings are the ways to cut a wire: whole, bytewise, in two at every place, with empty chunks, at random places.
func chunkings(id string, wire []byte) map[string][][]byte {
	cut := func(places ...int) (chunks [][]byte) {
		from := 0
		for _, place := range append(places, len(wire)) {
			chunks = append(chunks, wire[from:place:place])
			from = place
		}
		return chunks
	}
	all := map[string][][]byte{"whole": cut(), "empty chunks": append([][]byte{{}, {}}, append(cut(len(wire)/2), []byte{})...)}
	if len(wire) <= 1<<16 {
		every := make([]int, 0, len(wire))
		for place := 1; place < len(wire); place++ {
			every = append(every, place)
		}
		all["bytewise"] = cut(every...)
	}
	step := max(1, len(wire)/64)
	if len(wire) > 1<<16 {
		step = len(wire) / 4
	}
	for place := 1; place < len(wire); place += step {
		all[fmt.Sprint("cut at ", place)] = cut(place)
	}
	seed := fnv.New64()
	_, _ = seed.Write([]byte(id))
	random := rand.New(rand.NewPCG(seed.Sum64(), 1))
	for round := range 3 {
		var places []int
		for range min(12, len(wire)) {
			places = append(places, random.IntN(len(wire)+1))
		}
		slices.Sort(places)
		all[fmt.Sprint("random ", round)] = cut(places...)
	}
	return all
}

func (c *vectorCase) limits() (options []LimitOption) {
	if c.Limits.Frame != nil {
		options = append(options, WithMaxFrame(*c.Limits.Frame))
	}
	if c.Limits.Header != nil {
		options = append(options, WithMaxHeader(*c.Limits.Header))
	}
	return options
}

func (c *vectorCase) frameOptions() []FrameOption {
	options := []FrameOption{WithLayout(c.layout())}
	for _, limit := range c.limits() {
		options = append(options, limit)
	}
	return options
}

func (c *vectorCase) streamOptions() (options []DecoderOption) {
	for _, limit := range c.limits() {
		options = append(options, limit)
	}
	if c.RequireEnd != nil {
		options = append(options, WithRequiredEnd(*c.RequireEnd))
	}
	return options
}

func (c *vectorCase) layout() Layout {
	return Layout{ByteLength: c.Layout.ByteLength, BigEndian: c.Layout.ByteOrder == "big"}
}

func (c *vectorCase) decode(t *testing.T, chunking string, chunks [][]byte) {
	t.Helper()
	decoder := NewFrameDecoder(c.frameOptions()...)
	var got []string
	var failure error
	fed := 0
reading:
	for _, chunk := range chunks {
		fed += len(chunk)
		for frame, err := range decoder.Frames(slices.Clone(chunk)) {
			if err == nil && slices.Contains(c.Flags, "json") {
				err = frame.DecodeHeader(nil)
			}
			if err != nil {
				failure = err
				break reading
			}
			got = append(got, spell(t, frame.Header, frame.Payload, false))
		}
	}
	if failure == nil {
		failure = decoder.Finish()
	}
	c.compare(t, chunking, got, failure, fed)
}

func (c *vectorCase) stream(t *testing.T, chunking string, chunks [][]byte) {
	t.Helper()
	switch c.Coder {
	case "json":
		read(c, t, chunking, chunks, JSON[map[string]any, any](), func(payload any) []byte { return marshal(t, payload) })
	case "raw":
		read(c, t, chunking, chunks, Raw[map[string]any](), func(payload []byte) []byte { return payload })
	case "tal":
		read(c, t, chunking, chunks, TAL(), func(payload PCM) []byte { return payload })
	default:
		t.Fatalf("no coder %q", c.Coder)
	}
}

func read[H, P any](
	c *vectorCase, t *testing.T, chunking string, chunks [][]byte, coder Coder[H, P], wire func(P) []byte,
) {
	t.Helper()
	decoder := NewStreamDecoder(coder, c.streamOptions()...)
	var got []string
	var failure error
	fed := 0
reading:
	for _, chunk := range chunks {
		fed += len(chunk)
		decoder.Feed(chunk)
		for {
			message, ok, err := decoder.Next()
			var refused *PayloadError
			if errors.As(err, &refused) {
				got = append(got, fmt.Sprintf("!%d:%d", refused.Index, refused.Offset))
			} else if err != nil {
				failure = err
				break reading
			} else if ok {
				got = append(got, spell(t, marshal(t, message.Header), wire(message.Payload), c.Coder == "json"))
			} else {
				break
			}
		}
	}
	if failure == nil {
		failure = decoder.Finish()
	}
	end := "missing"
	if decoder.Ended() {
		end = "ok"
	}
	var told *StreamError
	if errors.As(failure, &told) {
		end, failure = "error:"+string(told.Code), nil
		if told.Message != c.Expect.Message {
			t.Errorf("%s: the end's message is %q, not %q", chunking, told.Message, c.Expect.Message)
		}
	}
	c.compare(t, chunking, got, failure, fed)
	if c.Expect.End != "" && end != c.Expect.End {
		t.Errorf("%s: end %s, not %s", chunking, end, c.Expect.End)
	}
	if c.Expect.Position != nil && decoder.Position() != *c.Expect.Position {
		t.Errorf("%s: position %d, not %d", chunking, decoder.Position(), *c.Expect.Position)
	}
	if c.Expect.Trailers != nil && normal(t, decoder.Trailers()) != normal(t, c.Expect.Trailers) {
		t.Errorf("%s: trailers %s, not %s", chunking, decoder.Trailers(), c.Expect.Trailers)
	}
}

func (c *vectorCase) compare(t *testing.T, chunking string, got []string, failure error, fed int) {
	t.Helper()
	if c.want == nil {
		c.want = make([]string, len(c.Expect.Frames))
		for i, frame := range c.Expect.Frames {
			c.want[i] = frame.spell(t)
		}
	}
	want := c.want
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s: frames\n%.400q, not\n%.400q", chunking, got, want)
	}
	expected := c.Expect.Error
	if expected == nil {
		if failure != nil {
			t.Errorf("%s: %v", chunking, failure)
		}
		return
	}
	if CodeOf(failure) != expected.Code || !errors.Is(failure, expected.Code) {
		t.Errorf("%s: %v, not %s", chunking, failure, expected.Code)
		return
	}
	var frame *FrameError
	var protocol *ProtocolError
	if errors.As(failure, &frame) {
		if expected.Index != nil && *expected.Index != frame.Index || expected.Offset != nil && *expected.Offset != frame.Offset {
			t.Errorf("%s: %v, not at frame %d, byte %d", chunking, failure, *expected.Index, *expected.Offset)
		}
	} else if errors.As(failure, &protocol) && expected.Index != nil && *expected.Index != protocol.Index {
		t.Errorf("%s: %v, not at frame %d", chunking, failure, *expected.Index)
	}
	if chunking == "bytewise" && expected.By != nil && fed > *expected.By {
		t.Errorf("%s: %v came after %d bytes, not by %d", chunking, failure, fed, *expected.By)
	}
}

func (c *vectorCase) encode(t *testing.T) {
	var wire []byte
	var err error
	switch c.Coder {
	case "":
		wire, err = c.layout().AppendFrame(nil, c.Header, c.Payload)
	case "json":
		coder := JSON[json.RawMessage, json.RawMessage]()
		wire, err = NewStreamEncoder(coder, WithPlain()).AppendData(nil, json.RawMessage(c.Header), json.RawMessage(c.Payload))
	case "tal":
		var tal TALAudio
		if err = tal.UnmarshalJSON(c.Header); err != nil {
			err = asEncodeError(err)
		} else {
			wire, err = NewStreamEncoder(TAL(), WithPlain()).AppendData(nil, tal, PCM(c.Payload))
		}
	}
	if c.Expect.Wire == nil {
		if CodeOf(err) != CodeEncodeError || len(wire) > 0 {
			t.Errorf("%x and %v, where it should be refused", wire, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	got, want := onlyFrame(t, c.layout(), wire), onlyFrame(t, c.layout(), *c.Expect.Wire)
	if got != want {
		t.Errorf("%.200q, not %.200q", got, want)
	}
}

func onlyFrame(t *testing.T, layout Layout, wire []byte) string {
	t.Helper()
	decoder := NewFrameDecoder(WithLayout(layout), WithMaxFrame(1<<30), WithMaxHeader(1<<30))
	decoder.Feed(wire)
	frame, ok, err := decoder.Next()
	if !ok || err != nil || decoder.Buffered() > 0 {
		t.Fatalf("%.40x is no frame: %v", wire, err)
	}
	return spell(t, frame.Header, frame.Payload, false)
}

func (f expectedFrame) spell(t *testing.T) string {
	t.Helper()
	if f.Refused != "" {
		return fmt.Sprintf("!%d:%d", f.Index, f.Offset)
	}
	header := []byte(f.Header)
	if header[0] == '[' {
		header = unpacked(t, f.Header)
	}
	if f.JSON != nil {
		return spell(t, header, f.JSON, true)
	}
	return spell(t, header, unpacked(t, f.Payload), false)
}

func unpacked(t *testing.T, text json.RawMessage) []byte {
	t.Helper()
	var p parts
	if err := p.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return p
}

// spell writes a message so that equal ones are equal strings. A header that is not judged may be no JSON.
func spell(t *testing.T, header, payload []byte, isJSON bool) string {
	t.Helper()
	spelled := fmt.Sprintf("%x", payload)
	if isJSON {
		spelled = normal(t, payload)
	}
	return normal(t, header) + "+" + spelled
}

// normal spells a JSON value in one way; what is no JSON, as it is. It is encoding/json's reading, not ours.
func normal(t *testing.T, text []byte) string {
	t.Helper()
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return fmt.Sprintf("%q", text)
	}
	return string(marshal(t, rational(value)))
}

// rational makes 1, 1.0 and 1e0 the same.
func rational(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			value[name] = rational(member)
		}
	case []any:
		for i, element := range value {
			value[i] = rational(element)
		}
	case json.Number:
		if number, ok := new(big.Rat).SetString(string(value)); ok {
			return "number " + number.RatString()
		}
	}
	return value
}

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("%v of %v", err, reflect.TypeOf(value))
	}
	return text
}
