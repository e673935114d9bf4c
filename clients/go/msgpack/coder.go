// Package msgpack is the coder "msgpack" of objectstreaming (section 4.3): headers are JSON objects, payloads are MessagePack
// values. It is a module of its own, so that only who imports it needs github.com/vmihailenco/msgpack/v5.
//
//	stream, err := objectstreaming.Post(ctx, url, question, msgpack.New[Status, Sound]())
package msgpack

import (
	"bytes"
	"fmt"

	objectstreaming "example.com/objectstreaming/clients/go"
	library "github.com/vmihailenco/msgpack/v5"
)

// New returns the coder. H is the type of headers, and P that of payloads: structs, maps, any. Struct fields have msgpack tags,
// or else json tags. In an any, numbers have the type in which they were written, from int8 to float64, and maps are
// map[string]any if all keys are strings, and map[any]any otherwise.
//
// Extension types are refused, except the timestamp, which is a [time.Time], and the extensions that are named here. These
// must be registered with RegisterExt of github.com/vmihailenco/msgpack/v5.
func New[H, P any](extensions ...int8) objectstreaming.Coder[H, P] {
	known := map[int8]bool{timestamp: true}
	for _, code := range extensions {
		known[code] = true
	}
	return coder[H, P]{headers: objectstreaming.Raw[H](), extensions: known}
}

type coder[H, P any] struct {
	headers    objectstreaming.Coder[H, []byte]
	extensions map[int8]bool
}

func (coder[H, P]) Name() string    { return "msgpack" }
func (coder[H, P]) Neutral() []byte { return []byte{0xc0} }

func (c coder[H, P]) Encode(header H, payload P) (head, body []byte, err error) {
	if head, _, err = c.headers.Encode(header, nil); err != nil {
		return nil, nil, err
	}
	var buffer bytes.Buffer
	encoder := library.NewEncoder(&buffer)
	encoder.SetCustomStructTag("json")
	encoder.UseCompactInts(true)
	encoder.SetSortMapKeys(true)
	if err = encoder.Encode(payload); err == nil {
		err = check(buffer.Bytes(), c.extensions) // receivers refuse it: invalid UTF-8, for example
	}
	return head, buffer.Bytes(), err
}

func (c coder[H, P]) Decode(frame objectstreaming.Frame) (header H, payload P, err error) {
	if err = frame.DecodeHeader(&header); err != nil {
		return header, payload, err
	}
	if err = check(frame.Payload, c.extensions); err == nil {
		err = decode(frame.Payload, &payload)
	}
	if err != nil {
		return header, payload, frame.InvalidPayload("the payload is not what the coder msgpack reads: "+err.Error(), err)
	}
	return header, payload, nil
}

func decode(data []byte, payload any) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil { // a key that Go cannot compare, such as bytes
			err = fmt.Errorf("%v", panicked)
		}
	}()
	decoder := library.NewDecoder(bytes.NewReader(data))
	decoder.SetCustomStructTag("json")
	decoder.SetMapDecoder(decodeMap)
	return decoder.Decode(payload)
}

func decodeMap(decoder *library.Decoder) (any, error) {
	untyped, err := decoder.DecodeUntypedMap()
	if err != nil {
		return nil, err
	}
	named := make(map[string]any, len(untyped))
	for key, value := range untyped {
		name, ok := key.(string)
		if !ok {
			return untyped, nil
		}
		named[name] = value
	}
	return named, nil
}
