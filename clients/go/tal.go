package objectstreaming

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// TALAudio is what a frame of speech says of itself: text, audio and lip (section 4.2). A number or an AudioType that is
// zero means its default, which is what is sent.
type TALAudio struct {
	// AudioType is "int16", the default, or "int32".
	AudioType string
	// BitDepth is 16 with int16 and 32 with int32, the default.
	BitDepth int
	// SampleRate is 1 to 768,000 sample frames a second; the default is 16,000.
	SampleRate int
	// Channels is 1, the default, to 255, interleaved.
	Channels int
	// AudioFormat is "wav". It names the family; there is no RIFF header.
	AudioFormat string
	// Question is what was asked, Answer the text of this sound.
	Question, Answer, URL string
	// Sign is where in an answer the frame stands: SignStart, the default, SignMiddle or SignEnd.
	Sign int
	// Order is the frame's number in its answer, from 1, the default.
	Order int64
	// Extra holds members beside these ten; they are sent after them.
	Extra map[string]json.RawMessage
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

// BlockAlign is how many bytes a sample frame has: a sample for each channel.
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

// check judges the members in their order.
func (t *TALAudio) check() error {
	depth := 16
	switch t.AudioType {
	case "int16":
	case "int32":
		depth = 32
	default:
		return fmt.Errorf("audioType is int16 or int32, not %.40q", t.AudioType)
	}
	switch {
	case t.BitDepth != depth:
		return fmt.Errorf("bitDepth is %d where audioType is %s, not %d", depth, t.AudioType, t.BitDepth)
	case t.SampleRate < 1 || t.SampleRate > maxSampleRate:
		return fmt.Errorf("sampleRate is 1 to %d, not %d", maxSampleRate, t.SampleRate)
	case t.Channels < 1 || t.Channels > maxChannels:
		return fmt.Errorf("channels is 1 to %d, not %d", maxChannels, t.Channels)
	case t.AudioFormat != "wav":
		return fmt.Errorf("audioFormat is wav, for PCM is what the payload holds, not %.40q", t.AudioFormat)
	case t.Sign < SignStart || t.Sign > SignEnd:
		return fmt.Errorf("sign is 1, 2 or 3, not %d", t.Sign)
	case t.Order < 1 || t.Order > maxOrder:
		return fmt.Errorf("order is 1 to 2^53 - 1, not %d", t.Order)
	}
	return nil
}

// talMembers are the ten as they stand in JSON, in the order in which they are written.
type talMembers struct {
	AudioType   string `json:"audioType"`
	BitDepth    int    `json:"bitDepth"`
	SampleRate  int    `json:"sampleRate"`
	Channels    int    `json:"channels"`
	AudioFormat string `json:"audioFormat"`
	Question    string `json:"question"`
	Answer      string `json:"answer"`
	URL         string `json:"url"`
	Sign        int    `json:"sign"`
	Order       int64  `json:"order"`
}

var talNames = []string{
	"audioType", "bitDepth", "sampleRate", "channels", "audioFormat", "question", "answer", "url", "sign", "order",
}

// MarshalJSON writes the ten members in their order, and the extra ones after them. Values out of range are an error.
func (t TALAudio) MarshalJSON() ([]byte, error) {
	t = t.withDefaults()
	if err := t.check(); err != nil {
		return nil, err
	}
	data, err := marshalJSON(talMembers{
		t.AudioType, t.BitDepth, t.SampleRate, t.Channels, t.AudioFormat, t.Question, t.Answer, t.URL, t.Sign, t.Order,
	})
	if err != nil || len(t.Extra) == 0 {
		return data, err
	}
	for name := range t.Extra {
		if slices.Contains(talNames, name) {
			return nil, fmt.Errorf("extra holds members beside the ten, and %s is one of the ten", name)
		}
	}
	extra, err := marshalJSON(t.Extra)
	if err != nil {
		return nil, err
	}
	return append(append(data[:len(data)-1], ','), extra[1:]...), nil
}

// UnmarshalJSON reads a header. Members that are absent get their defaults; values outside the table of section 4.2, null
// among them, are an error.
func (t *TALAudio) UnmarshalJSON(data []byte) error {
	read := TALAudio{
		AudioType: "int16", BitDepth: 16, SampleRate: 16000, Channels: 1, AudioFormat: "wav", Sign: 1, Order: 1,
	}
	p := parser{data: data}
	if err := p.members(func(name []byte) error { return read.member(&p, name) }); err != nil {
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

// member reads the value at p. A name that comes again counts again.
func (t *TALAudio) member(p *parser, name []byte) error {
	switch string(name) {
	case "audioType":
		return p.intoText("audioType", &t.AudioType)
	case "bitDepth":
		return intoInteger(p, "bitDepth", &t.BitDepth)
	case "sampleRate":
		return intoInteger(p, "sampleRate", &t.SampleRate)
	case "channels":
		return intoInteger(p, "channels", &t.Channels)
	case "audioFormat":
		return p.intoText("audioFormat", &t.AudioFormat)
	case "question":
		return p.intoText("question", &t.Question)
	case "answer":
		return p.intoText("answer", &t.Answer)
	case "url":
		return p.intoText("url", &t.URL)
	case "sign":
		return intoInteger(p, "sign", &t.Sign)
	case "order":
		return intoInteger(p, "order", &t.Order)
	}
	from := p.peekAt()
	if err := p.skip(); err != nil {
		return err
	}
	if t.Extra == nil {
		t.Extra = map[string]json.RawMessage{}
	}
	t.Extra[string(name)] = bytes.Clone(p.data[from:p.at])
	return nil
}

// peekAt is where the next value begins.
func (p *parser) peekAt() int {
	p.peek()
	return p.at
}

func (p *parser) intoText(name string, text *string) (err error) {
	if p.peek() != '"' {
		return p.wrongMember(name, "a string")
	}
	*text, err = p.string()
	return err
}

// intoInteger reads an integer, written as one. One too large for 64 bits is out of every range there is here.
func intoInteger[T int | int64](p *parser, name string, number *T) error {
	if c := p.peek(); c != '-' && (c < '0' || c > '9') {
		return p.wrongMember(name, "an integer")
	}
	text, _, err := p.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(text), 10, 64) // which takes neither a fraction nor an exponent
	if err != nil || int64(T(n)) != n {
		return fmt.Errorf("%s is an integer in range, not %.40s", name, text)
	}
	*number = T(n)
	return nil
}

func (p *parser) wrongMember(name, kind string) error {
	at := p.at
	if err := p.skip(); err != nil {
		return err
	}
	return fmt.Errorf("%s is %s, not %.40s", name, kind, p.data[at:p.at])
}

// PCM is sound: little-endian signed samples, interleaved.
type PCM []byte

// PCM16 is the sound of 16-bit samples, PCM32 that of 32-bit ones.
func PCM16(samples []int16) PCM {
	pcm := make(PCM, 0, 2*len(samples))
	for _, sample := range samples {
		pcm = append(pcm, byte(sample), byte(uint16(sample)>>8))
	}
	return pcm
}

// PCM32 is the sound of 32-bit samples.
func PCM32(samples []int32) PCM {
	pcm := make(PCM, 0, 4*len(samples))
	for _, sample := range samples {
		pcm = append(pcm, byte(sample), byte(sample>>8), byte(sample>>16), byte(sample>>24))
	}
	return pcm
}

// Int16 is the samples where BitDepth is 16. An odd byte at the end is left out.
func (pcm PCM) Int16() []int16 {
	samples := make([]int16, len(pcm)/2)
	for i := range samples {
		at := pcm[2*i : 2*i+2]
		samples[i] = int16(uint16(at[0]) | uint16(at[1])<<8)
	}
	return samples
}

// Int32 is the samples where BitDepth is 32. Odd bytes at the end are left out.
func (pcm PCM) Int32() []int32 {
	samples := make([]int32, len(pcm)/4)
	for i := range samples {
		at := pcm[4*i : 4*i+4]
		samples[i] = int32(uint32(at[0]) | uint32(at[1])<<8 | uint32(at[2])<<16 | uint32(at[3])<<24)
	}
	return samples
}

// TAL is the coder "tal": speech, with what is said in it. A payload is whole sample frames, and the frames of an answer
// come in order: what comes otherwise is CodeOrderGap.
func TAL() Coder[TALAudio, PCM] { return talCoder{} }

type talCoder struct{}

func (talCoder) Name() string    { return "tal" }
func (talCoder) Neutral() []byte { return nil }

func (talCoder) Encode(header TALAudio, payload PCM) (head, body []byte, err error) {
	if head, err = header.MarshalJSON(); err != nil {
		return nil, nil, err
	}
	if align := header.BlockAlign(); len(payload)%align != 0 {
		return nil, nil, fmt.Errorf("%d bytes of PCM are not whole sample frames of %d: carry the odd ones over to the next frame",
			len(payload), align)
	}
	return head, payload, checkObject(head) // once more: all levels of the extra members together are limited too
}

func (talCoder) Decode(frame Frame) (header TALAudio, payload PCM, err error) {
	if err := header.UnmarshalJSON(frame.Header); err != nil {
		return header, nil, frame.invalidHeader("the header is not a TALAudio", err)
	}
	if align := header.BlockAlign(); len(frame.Payload)%align != 0 {
		message := fmt.Sprintf("%d bytes of PCM are not whole sample frames of %d: was it cut inside one?", len(frame.Payload), align)
		return header, nil, frame.invalidPayload(message, nil)
	}
	return header, frame.Payload, nil
}

func (talCoder) newOrder() order[TALAudio] { return &talOrder{previous: unknown} }

const (
	unknown = -1 // nothing has come, or nothing that could be read
	over    = 0  // an answer has ended
)

// talOrder: sign 1 starts an answer, at any time, with order 1. Signs 2 and 3 go on with the order before, plus one. After
// sign 3 comes sign 1. A stream whose first frame has sign 2 or 3 is a resumed one, and begins anywhere.
type talOrder struct{ previous int64 }

func (o *talOrder) follow(header TALAudio, index int64) error {
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

func (o *talOrder) forget() { o.previous = unknown }
