package objectstreaming

// Coder gives the headers and payloads of a stream their meaning (section 4). Both sides use the same coder. Several
// goroutines may use one coder.
type Coder[H, P any] interface {
	// Name is the name of the coder on the wire.
	Name() string
	// Neutral is the payload of control frames. A peer that does not know control frames decodes it without an error.
	Neutral() []byte
	// Encode returns the JSON text of a header and the bytes of a payload. Its errors become an *EncodeError.
	Encode(header H, payload P) (head, body []byte, err error)
	// Decode reads a frame. Its error is a *FrameError, which ends the stream, or a *PayloadError, after which the stream
	// can continue: see [Frame.InvalidHeader] and [Frame.InvalidPayload]. An error of another type becomes a *PayloadError.
	Decode(frame Frame) (H, P, error)
}

// OrderedCoder is a coder whose messages are numbered, as those of [TAL]. A decoder asks it for the check of each stream.
type OrderedCoder[H any] interface {
	// NewOrder returns the check of one stream.
	NewOrder() Order[H]
}

// Order checks that each message of a stream may follow the one before it.
type Order[H any] interface {
	// Follow is called for each message. Its error ends the stream, as a *ProtocolError with [CodeOrderGap].
	Follow(header H, index int64) error
	// Forget is called for a payload that was refused. The next message may have any number.
	Forget()
}

// JSON is the coder "json": headers are JSON objects, payloads are any JSON value (section 4.1). H and P are the types of
// received messages: structs, maps, any. A value that does not fit its type is refused, with CodeInvalidHeader or
// CodeInvalidPayload. Members that a type does not have are ignored.
//
//	JSON[Status, Answer]()
//	JSON[map[string]any, any]()
func JSON[H, P any]() Coder[H, P] { return jsonCoder[H, P]{} }

type jsonCoder[H, P any] struct{}

func (jsonCoder[H, P]) Name() string    { return "json" }
func (jsonCoder[H, P]) Neutral() []byte { return []byte("{}") }

func (jsonCoder[H, P]) Encode(header H, payload P) (head, body []byte, err error) {
	if head, err = marshalJSON(header); err == nil {
		body, err = marshalJSON(payload)
	}
	return head, body, err
}

func (jsonCoder[H, P]) Decode(frame Frame) (header H, payload P, err error) {
	if err = unmarshalObject(frame.Header, &header); err != nil {
		return header, payload, frame.InvalidHeader("the header is not what the coder json reads", err)
	}
	if err = unmarshal(frame.Payload, &payload); err != nil {
		return header, payload, frame.InvalidPayload("the payload is not what the coder json reads: "+err.Error(), err)
	}
	return header, payload, nil
}

// Raw is the coder "raw": headers are JSON objects, payloads are bytes (section 4.5).
func Raw[H any]() Coder[H, []byte] { return rawCoder[H]{} }

type rawCoder[H any] struct{}

func (rawCoder[H]) Name() string    { return "raw" }
func (rawCoder[H]) Neutral() []byte { return nil }

func (rawCoder[H]) Encode(header H, payload []byte) (head, body []byte, err error) {
	head, err = marshalJSON(header)
	return head, payload, err
}

func (rawCoder[H]) Decode(frame Frame) (header H, payload []byte, err error) {
	if err = unmarshalObject(frame.Header, &header); err != nil {
		return header, nil, frame.InvalidHeader("the header is not what the coder raw reads", err)
	}
	return header, frame.Payload, nil
}
