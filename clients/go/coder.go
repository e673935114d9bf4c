package objectstreaming

// Coder gives the headers and payloads of a stream their meaning (section 4). Both sides agree on one. It may be shared by
// goroutines.
type Coder[H, P any] interface {
	// Name is what the wire calls it.
	Name() string
	// Neutral is the payload of a control frame, which a peer that knows none decodes without an error.
	Neutral() []byte
	// Encode gives a header's JSON and a payload's bytes. Its errors become an *EncodeError.
	Encode(header H, payload P) (head, body []byte, err error)
	// Decode reads a frame. Its error is a *FrameError, which ends the stream, or a *PayloadError, which need not.
	Decode(frame Frame) (H, P, error)
}

// orderChecker is a coder that watches how the messages of a stream follow one another.
type orderChecker[H any] interface {
	newOrder() order[H]
}

type order[H any] interface {
	// follow is called for each message. Its error is a *ProtocolError.
	follow(header H, index int64) error
	// forget is called where a payload was refused: of what comes after it nothing can be said.
	forget()
}

// JSON is the coder "json": a header that is a JSON object, and a payload that is any JSON value (section 4.1). H and P are
// what they are read into: structs, maps, any. What does not fit is refused, with CodeInvalidHeader or
// CodeInvalidPayload; members that H and P do not have are passed over.
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
	if err = frame.DecodeHeader(&header); err != nil {
		return header, payload, err
	}
	if err = unmarshal(frame.Payload, &payload); err != nil {
		return header, payload, frame.invalidPayload("the payload is not the JSON that is wanted: "+err.Error(), err)
	}
	return header, payload, nil
}

// Raw is the coder "raw": a header that is a JSON object, and bytes as they are (section 4.5).
func Raw[H any]() Coder[H, []byte] { return rawCoder[H]{} }

type rawCoder[H any] struct{}

func (rawCoder[H]) Name() string    { return "raw" }
func (rawCoder[H]) Neutral() []byte { return nil }

func (rawCoder[H]) Encode(header H, payload []byte) (head, body []byte, err error) {
	head, err = marshalJSON(header)
	return head, payload, err
}

func (rawCoder[H]) Decode(frame Frame) (header H, payload []byte, err error) {
	err = frame.DecodeHeader(&header)
	return header, frame.Payload, err
}
