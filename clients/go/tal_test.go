package objectstreaming

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
)

func TestSpeechIsWrittenAndRead(t *testing.T) {
	var wire bytes.Buffer
	encoder := NewEncoder(&wire, TAL())
	first := TALAudio{Answer: "Yes.", Extra: map[string]json.RawMessage{"speaker": []byte(`"Ann"`)}}
	second := TALAudio{AudioType: "int32", Channels: 2, Sign: SignEnd, Order: 2}
	if err := errors.Join(encoder.Encode(first, PCM16([]int16{1, -2, math.MinInt16})), encoder.Encode(second, PCM32([]int32{math.MaxInt32, -1}))); err != nil {
		t.Fatal(err)
	}
	if err := encoder.End(nil); err != nil {
		t.Fatal(err)
	}
	var got []Message[TALAudio, PCM]
	for message, err := range NewDecoder(&wire, TAL()).All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, message)
	}
	want := TALAudio{
		AudioType: "int16", BitDepth: 16, SampleRate: 16000, Channels: 1, AudioFormat: "wav", Answer: "Yes.", Sign: 1, Order: 1,
		Extra: first.Extra,
	}
	if !reflect.DeepEqual(got[0].Header, want) || !reflect.DeepEqual(got[0].Payload.Int16(), []int16{1, -2, math.MinInt16}) {
		t.Errorf("%+v %v", got[0].Header, got[0].Payload.Int16())
	}
	if got[1].Header.BitDepth != 32 || got[1].Header.BlockAlign() != 8 ||
		!reflect.DeepEqual(got[1].Payload.Int32(), []int32{math.MaxInt32, -1}) {
		t.Errorf("%+v %v", got[1].Header, got[1].Payload.Int32())
	}
}

func TestMembersAreWrittenInOrder(t *testing.T) {
	text, err := json.Marshal(TALAudio{Extra: map[string]json.RawMessage{"z": []byte("1"), "a": []byte("2")}})
	want := `{"audioType":"int16","bitDepth":16,"sampleRate":16000,"channels":1,"audioFormat":"wav",` +
		`"question":"","answer":"","url":"","sign":1,"order":1,"a":2,"z":1}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

func TestHeadersOutOfRangeAreNotSent(t *testing.T) {
	for name, header := range map[string]TALAudio{
		"another sample type":     {AudioType: "float32"},
		"another depth":           {BitDepth: 24},
		"int16 with 32 bits":      {BitDepth: 32},
		"a rate too high":         {SampleRate: maxSampleRate + 1},
		"a negative rate":         {SampleRate: -1},
		"too many channels":       {Channels: 256},
		"another format":          {AudioFormat: "mp3"},
		"another sign":            {Sign: 4},
		"a negative order":        {Order: -1},
		"an order beyond 2^53":    {Order: 1 << 53},
		"text not UTF-8":          {Answer: "\xff"},
		"one of the ten as extra": {Extra: map[string]json.RawMessage{"sign": []byte("1")}},
		"extra that is not JSON":  {Extra: map[string]json.RawMessage{"x": []byte("{")}},
	} {
		if wire, err := NewStreamEncoder(TAL()).AppendData(nil, header, nil); !errors.Is(err, CodeEncodeError) || wire != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewStreamEncoder(TAL()).AppendData(nil, TALAudio{}, PCM{1}); !errors.Is(err, CodeEncodeError) {
		t.Errorf("half a sample: %v", err)
	}
}

func TestOnlyIntegersAreReadAsIntegers(t *testing.T) {
	for text, fine := range map[string]bool{
		`{"sampleRate":8000}`: true, `{"order":9007199254740991}`: true, `{"sampleRate":8000,"sampleRate":9000}`: true,
		`{"sampleRate":8e3}`: false, `{"sampleRate":8000.0}`: false, `{"order":9007199254740992}`: false,
		`{"order":123456789012345678901234567890}`: false, `{"sign":true}`: false, `{"sign":null}`: false, `{"Sign":9}`: true,
		`{"answer":"` + "\xff" + `"}`: false, `[]`: false, `{} x`: false,
	} {
		_, _, err := TAL().Decode(Frame{Header: []byte(text)})
		if (err == nil) != fine || err != nil && !errors.Is(err, CodeInvalidHeader) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
