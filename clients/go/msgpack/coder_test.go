package msgpack_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	objectstreaming "example.com/objectstreaming/clients/go"
	"example.com/objectstreaming/clients/go/msgpack"
)

type sound struct {
	Rate int       `json:"rate"`
	PCM  []byte    `json:"pcm"`
	At   time.Time `json:"at"`
}

type object = map[string]any

func TestAStructComesBackAsItWas(t *testing.T) {
	sent := sound{16000, []byte{0, 255}, time.Unix(1_700_000_000, 5)}
	coder := msgpack.New[object, sound]()
	var wire bytes.Buffer
	encoder := objectstreaming.NewEncoder(&wire, coder)
	if err := encoder.Encode(object{"n": "x"}, sent); err != nil {
		t.Fatal(err)
	}
	if err := encoder.End(nil); err != nil {
		t.Fatal(err)
	}
	for message, err := range objectstreaming.NewDecoder(&wire, coder).All() {
		got := message.Payload
		if err != nil || got.Rate != sent.Rate || !bytes.Equal(got.PCM, sent.PCM) || !got.At.Equal(sent.At) || message.Header["n"] != "x" {
			t.Error(message, err)
		}
	}
}

func decode(payload string) (any, error) {
	_, value, err := msgpack.New[object, any]().Decode(objectstreaming.Frame{Header: []byte("{}"), Payload: []byte(payload), Index: 3, Offset: 7})
	return value, err
}

func TestValuesAreThoseOfGo(t *testing.T) {
	for payload, want := range map[string]any{
		"\x82\xa1a\x01\xa1b\xc4\x01\xff":   object{"a": int8(1), "b": []byte{255}},
		"\x81\x01\xa1x":                    map[any]any{int8(1): "x"},
		"\xcf" + strings.Repeat("\xff", 8): uint64(1<<64 - 1),
		"\x92\xc0\xc3":                     []any{nil, true},
	} {
		if got, err := decode(payload); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%#v %v", got, err)
		}
	}
}

func TestWhatIsNoValueIsRefusedAndNothingIsAllocatedForAClaim(t *testing.T) {
	refused := []string{
		"", "\x01\x02", "\xc1", "\x93\x01", "\xdd\xff\xff\xff\xff", "\xdd\x7f\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff\x00",
		"\xa1\xff", "\xcf\x00", "\xd4\x05\x00", "\xd4\xff\x00", "\xc7\x03\xff\x00\x00\x00", "\xdb\xff\xff\xff\xff", "\x81\xa1a", "\xd9",
		strings.Repeat("\x91", 1_000_000) + "\xc0", "\x81\xc4\x01a\x01", "\x81\x90\x01",
	}
	for _, payload := range refused {
		var err error
		allocated := testing.AllocsPerRun(1, func() { _, err = decode(payload) })
		problem, ok := err.(*objectstreaming.PayloadError)
		if !ok || problem.Index != 3 || problem.Offset != 7 || allocated > 100 {
			t.Errorf("%.20q: %v, %g allocations", payload, err, allocated)
		}
	}
	_, _, err := msgpack.New[object, int]().Decode(objectstreaming.Frame{Header: []byte("{}"), Payload: []byte("\xa1a")})
	if objectstreaming.CodeOf(err) != objectstreaming.CodeInvalidPayload {
		t.Error(err)
	}
	_, _, err = msgpack.New[object, any]().Decode(objectstreaming.Frame{Header: []byte("[]"), Payload: []byte("\xc0")})
	if objectstreaming.CodeOf(err) != objectstreaming.CodeInvalidHeader {
		t.Error(err)
	}
}

func TestWhatReceiversRefuseIsNotSent(t *testing.T) {
	coder := msgpack.New[object, any]()
	for _, payload := range []any{"\xff", func() {}, make(chan int)} {
		if _, _, err := coder.Encode(nil, payload); err == nil {
			t.Error(fmt.Sprintf("%T", payload))
		}
	}
}

func FuzzPayloads(f *testing.F) {
	f.Add([]byte("\x82\xa1a\x01\xa1b\xc4\x01\xff"))
	f.Add([]byte("\xdd\xff\xff\xff\xff"))
	f.Add([]byte("\xd6\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		value, err := decode(string(payload))
		if err != nil {
			if _, ok := err.(*objectstreaming.PayloadError); !ok {
				t.Error(err)
			}
			return
		}
		if _, _, err := msgpack.New[object, any]().Encode(nil, value); err != nil {
			t.Errorf("%#v was read, but not written: %v", value, err)
		}
	})
}
