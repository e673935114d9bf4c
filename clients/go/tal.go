package objectstreaming

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
)

// TALAudio is the header of a frame of speech: text, audio and lip (section 4.2). A number or a text of the first five
// members that is zero means its default, which is what is sent.
type TALAudio struct {
	// AudioType is "int16", the default, or "int32".
	AudioType string `json:"audioType"`
	// BitDepth is 16 with int16 and 32 with int32, the default.
	BitDepth int `json:"bitDepth"`
	// SampleRate is 1 to 768,000 sample frames a second. The default is 16,000.
	SampleRate int `json:"sampleRate"`
	// Channels is 1, the default, to 255, interleaved.
	Channels int `json:"channels"`
	// AudioFormat is always "wav". It names the family of the format; there is no RIFF header.
	AudioFormat string `json:"audioFormat"`
	// Question is the question.
	Question string `json:"question"`
	// Answer is the text of this audio.
	Answer string `json:"answer"`
	// URL is the source of the answer.
	URL string `json:"url"`
	// Sign is the place of the frame in its answer: SignStart, the default, SignMiddle or SignEnd.
	Sign int `json:"sign"`
	// Order is the number of the frame in its answer, from 1, the default.
	Order int64 `json:"order"`
	// Extra holds all other members. They are sent after these ten.
	Extra map[string]json.RawMessage `json:"-"`
}

// The values of TALAudio.Sign.
const (
	SignStart  = 1
	SignMiddle = 2
	SignEnd    = 3
)

const (
	maxSampleRate = 768_000
	maxChannels   = 255
	maxOrder      = 1<<53 - 1
)

// talFields are the ten members: their names on the wire, and where they are in a TALAudio.
var talFields, _ = fieldsOf(reflect.TypeFor[TALAudio]())

func talField(name string) (field, bool) {
	for _, f := range talFields {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// BlockAlign is the number of bytes of a sample frame: one sample for each channel.
func (t TALAudio) BlockAlign() int {
	t = t.withDefaults()
	return t.BitDepth / 8 * t.Channels
}

func (t TALAudio) withDefaults() TALAudio {
	setDefault(&t.AudioType, "int16")
	if t.AudioType == "int32" {
		setDefault(&t.BitDepth, 32)
	}
	setDefault(&t.BitDepth, 16)
	setDefault(&t.SampleRate, 16000)
	setDefault(&t.Channels, 1)
	setDefault(&t.AudioFormat, "wav")
	setDefault(&t.Sign, 1)
	setDefault(&t.Order, 1)
	return t
}

func setDefault[T comparable](member *T, value T) {
	var zero T
	if *member == zero {
		*member = value
	}
}

// check checks the members against the table of section 4.2, in their order.
func (t *TALAudio) check() error {
	depth := 16
	switch t.AudioType {
	case "int16":
	case "int32":
		depth = 32
	default:
		return fmt.Errorf(`audioType is "int16" or "int32", not %.40q`, t.AudioType)
	}
	if t.BitDepth != depth {
		return fmt.Errorf("bitDepth is %d where audioType is %q, not %d", depth, t.AudioType, t.BitDepth)
	}
	if t.AudioFormat != "wav" {
		return fmt.Errorf(`audioFormat is "wav", not %.40q`, t.AudioFormat)
	}
	for _, integer := range []struct {
		name           string
		value, largest int64
	}{
		{"sampleRate", int64(t.SampleRate), maxSampleRate}, {"channels", int64(t.Channels), maxChannels},
		{"sign", int64(t.Sign), SignEnd}, {"order", t.Order, maxOrder},
	} {
		if integer.value < 1 || integer.value > integer.largest {
			return fmt.Errorf("%s is an integer from 1 to %d, not %d", integer.name, integer.largest, integer.value)
		}
	}
	return nil
}

// MarshalJSON writes the ten members in their order, and the extra ones after them. A value out of range is an error.
func (t TALAudio) MarshalJSON() ([]byte, error) {
	t = t.withDefaults()
	if err := t.check(); err != nil {
		return nil, err
	}
	type withoutMethods TALAudio
	data, err := marshalJSON(withoutMethods(t))
	if err != nil || len(t.Extra) == 0 {
		return data, err
	}
	for name := range t.Extra {
		if _, ok := talField(name); ok {
			return nil, fmt.Errorf("extra cannot hold %s, which is one of the ten members", name)
		}
	}
	extra, err := marshalJSON(t.Extra)
	if err != nil {
		return nil, err
	}
	return append(append(data[:len(data)-1], ','), extra[1:]...), nil
}

// UnmarshalJSON reads a header. Absent members get their defaults. A value outside the table of section 4.2 is an error,
// and so is null.
func (t *TALAudio) UnmarshalJSON(data []byte) error {
	read := TALAudio{}.withDefaults()
	p := parser{data: data}
	if err := p.members(func(name []byte) error { return read.member(&p, string(name)) }); err != nil {
		return err
	}
	if err := p.end(); err != nil {
		return err
	}
	if err := read.check(); err != nil {
		return err
	}
	*t = read
	return nil
}

// member reads the value at p. If a name occurs twice, the last value counts.
func (t *TALAudio) member(p *parser, name string) error {
	next := p.peek()
	from := p.at
	f, ok := talField(name)
	if !ok {
		if err := p.skip(); err != nil {
			return err
		}
		if t.Extra == nil {
			t.Extra = map[string]json.RawMessage{}
		}
		t.Extra[name] = bytes.Clone(p.data[from:p.at])
		return nil
	}
	member := reflect.ValueOf(t).Elem().Field(f.index)
	read := p.into
	if next == 'n' { // null, which into would take for zero
		read = func(v reflect.Value) error { return p.mismatch(v.Type()) }
	}
	if err := read(member); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// PCM is audio: little-endian signed samples, interleaved.
type PCM []byte

// PCM16 is the bytes of 16-bit samples.
func PCM16(samples []int16) PCM {
	pcm := make(PCM, 0, 2*len(samples))
	for _, sample := range samples {
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(sample))
	}
	return pcm
}

// PCM32 is the bytes of 32-bit samples.
func PCM32(samples []int32) PCM {
	pcm := make(PCM, 0, 4*len(samples))
	for _, sample := range samples {
		pcm = binary.LittleEndian.AppendUint32(pcm, uint32(sample))
	}
	return pcm
}

// Int16 is the samples where BitDepth is 16. An odd byte at the end is left out.
func (pcm PCM) Int16() []int16 {
	samples := make([]int16, len(pcm)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(pcm[2*i:]))
	}
	return samples
}

// Int32 is the samples where BitDepth is 32. Odd bytes at the end are left out.
func (pcm PCM) Int32() []int32 {
	samples := make([]int32, len(pcm)/4)
	for i := range samples {
		samples[i] = int32(binary.LittleEndian.Uint32(pcm[4*i:]))
	}
	return samples
}

// TAL is the coder "tal": speech with its text. A payload is whole sample frames. The frames of an answer must come in
// order, otherwise the error is CodeOrderGap.
func TAL() Coder[TALAudio, PCM] { return talCoder{} }

type talCoder struct{}

func (talCoder) Name() string    { return "tal" }
func (talCoder) Neutral() []byte { return nil }

func (talCoder) Encode(header TALAudio, payload PCM) (head, body []byte, err error) {
	if head, err = header.MarshalJSON(); err != nil {
		return nil, nil, err
	}
	if align := header.BlockAlign(); len(payload)%align != 0 {
		return nil, nil, fmt.Errorf("%d bytes are not whole sample frames of %d bytes: carry the odd bytes over to the next frame",
			len(payload), align)
	}
	return head, payload, checkObject(head) // again, because the extra members are one level deeper in the header
}

func (talCoder) Decode(frame Frame) (header TALAudio, payload PCM, err error) {
	if err := header.UnmarshalJSON(frame.Header); err != nil {
		return header, nil, frame.InvalidHeader("the header is not what the coder tal reads", err)
	}
	if align := header.BlockAlign(); len(frame.Payload)%align != 0 {
		message := fmt.Sprintf("the payload is not what the coder tal reads: %d bytes are not whole sample frames of %d bytes: "+
			"was the PCM cut inside one?", len(frame.Payload), align)
		return header, nil, frame.InvalidPayload(message, nil)
	}
	return header, frame.Payload, nil
}

func (talCoder) NewOrder() Order[TALAudio] { return &talOrder{previous: unknown} }

const (
	unknown = -1 // there was no frame yet, or its payload was refused
	over    = 0  // the last frame ended its answer
)

// talOrder is the order rule of section 4.2. Sign 1 starts an answer, at any time, with order 1. Signs 2 and 3 have the order
// of the frame before plus 1. After sign 3 comes sign 1. A stream whose first frame has sign 2 or 3 is a resumed one, and
// may start at any order.
type talOrder struct{ previous int64 }

func (o *talOrder) Follow(header TALAudio, index int64) error {
	var message string
	switch {
	case header.Sign == SignStart:
		if header.Order != 1 {
			message = fmt.Sprintf("sign 1 starts an answer with order 1, not %d", header.Order)
		}
	case o.previous == over:
		message = fmt.Sprintf("sign %d after sign 3: an answer starts with sign 1", header.Sign)
	case o.previous != unknown && header.Order != o.previous+1:
		message = fmt.Sprintf("order %d after order %d: was a frame lost?", header.Order, o.previous)
	}
	if message != "" {
		return &ProtocolError{CodeOrderGap, index, message}
	}
	o.previous = header.Order
	if header.Sign == SignEnd {
		o.previous = over
	}
	return nil
}

func (o *talOrder) Forget() { o.previous = unknown }
