// Command conformance puts this package behind the protocol of objectstreaming/conformance/README.md: JSON lines on stdin and stdout.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	objectstreaming "example.com/objectstreaming/clients/go"
	"example.com/objectstreaming/clients/go/msgpack"
	"example.com/objectstreaming/clients/go/ndarray"
)

const features = "decode encode stream fetch resume limits layout json bigint tal msgpack ndarray"

type request struct {
	ID          json.RawMessage `json:"id"`
	Op          string          `json:"op"`
	Coder       string          `json:"coder"`
	Chunks      string          `json:"chunks"`
	MaxFrame    *int            `json:"max_frame"`
	MaxHeader   *int            `json:"max_header"`
	ByteLength  int             `json:"byte_length"`
	ByteOrder   string          `json:"byte_order"`
	RequireEnd  string          `json:"require_end"`
	Header      string          `json:"header"`
	Payload     string          `json:"payload"`
	URL         string          `json:"url"`
	Method      string          `json:"method"`
	Body        string          `json:"body"`
	ContentType string          `json:"content_type"`
	Patience    int             `json:"patience"`
	Position    *int64          `json:"position"`
	StopAfter   int             `json:"stop_after"`
	LeaveAfter  int             `json:"leave_after"`
}

type answer map[string]any

func main() {
	requests, answers := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20)), json.NewEncoder(os.Stdout)
	for {
		var r request
		if err := requests.Decode(&r); err == io.EOF {
			return
		} else if err != nil {
			fail(err)
		}
		made := perform(&r)
		made["id"] = r.ID
		if err := answers.Encode(made); err != nil {
			fail(err)
		}
	}
}

// fail stops the program: the protocol has no answer for what went wrong.
func fail(err error) {
	fmt.Fprintln(os.Stderr, "conformance:", err)
	os.Exit(1)
}

func perform(r *request) answer {
	switch r.Op {
	case "hello":
		return answer{"name": "go 0.1.0", "features": features}
	case "decode":
		return decode(r)
	case "encode":
		return encode(r)
	}
	if r.Op != "stream" && r.Op != "fetch" && r.Op != "resume" {
		return answer{"skipped": "no op " + r.Op}
	}
	type object = map[string]any
	switch r.Coder {
	case "json", "":
		return read(r, objectstreaming.JSON[object, any](), toJSON)
	case "raw":
		return read(r, objectstreaming.Raw[object](), func(payload []byte) []byte { return payload })
	case "tal":
		return read(r, objectstreaming.TAL(), func(payload objectstreaming.PCM) []byte { return payload })
	case "msgpack":
		coder := msgpack.New[object, any]()
		return read(r, coder, func(payload any) []byte {
			_, data, err := coder.Encode(nil, payload)
			if err != nil {
				fail(err)
			}
			return data
		})
	case "ndarray":
		return read(r, arrays{ndarray.New[object]()}, func(payload ndarray.Array) []byte { return payload.Data })
	default:
		return answer{"skipped": "no coder " + r.Coder}
	}
}

// arrays is the coder ndarray, with dtype and shape in the headers, where the protocol wants them.
type arrays struct {
	objectstreaming.Coder[map[string]any, ndarray.Array]
}

func (a arrays) Decode(frame objectstreaming.Frame) (header map[string]any, array ndarray.Array, err error) {
	if header, array, err = a.Coder.Decode(frame); err == nil {
		header["dtype"], header["shape"] = array.DType, array.Shape
	}
	return header, array, err
}

// options are those of the request, which all places take where the request can have them.
func options[O any](r *request) (made []O) {
	add := func(option any) { made = append(made, option.(O)) }
	if r.MaxFrame != nil {
		add(objectstreaming.WithMaxFrame(*r.MaxFrame))
	}
	if r.MaxHeader != nil {
		add(objectstreaming.WithMaxHeader(*r.MaxHeader))
	}
	if r.RequireEnd != "" {
		add(objectstreaming.WithRequiredEnd(r.RequireEnd == "yes"))
	}
	return made
}

func (r *request) layout() objectstreaming.Layout {
	return objectstreaming.Layout{ByteLength: r.ByteLength, BigEndian: r.ByteOrder == "big"}
}

// chunks gives the words of the request; "-" is an empty chunk.
func (r *request) chunks(yield func([]byte) bool) {
	for word := range strings.FieldsSeq(r.Chunks) {
		if !yield(fromHex(strings.TrimPrefix(word, "-"))) {
			return
		}
	}
}

func fromHex(text string) []byte {
	data, err := hex.DecodeString(text)
	if err != nil {
		fail(err)
	}
	return data
}

func toJSON(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		fail(err)
	}
	return data
}

func decode(r *request) answer {
	decoder := objectstreaming.NewFrameDecoder(append(options[objectstreaming.FrameOption](r), objectstreaming.WithLayout(r.layout()))...)
	var frames []string
	fed := 0
	told := func(err error) answer {
		return answer{"frames": strings.Join(frames, " "), "error": verdict(err, fmt.Sprint(" ", fed))}
	}
	for chunk := range r.chunks {
		fed += len(chunk)
		for frame, err := range decoder.Frames(chunk) {
			if err == nil {
				err = frame.DecodeHeader(nil)
			}
			if err != nil {
				return told(err)
			}
			frames = append(frames, fmt.Sprintf("%x:%x", frame.Header, frame.Payload))
		}
	}
	return told(decoder.Finish())
}

func encode(r *request) answer {
	header, payload := fromHex(r.Header), fromHex(r.Payload)
	var wire []byte
	var err error
	switch r.Coder {
	case "":
		wire, err = r.layout().AppendFrame(nil, header, payload)
	case "json":
		coder := objectstreaming.JSON[json.RawMessage, json.RawMessage]()
		wire, err = objectstreaming.NewStreamEncoder(coder, objectstreaming.WithPlain()).AppendData(nil, header, payload)
	case "tal":
		var tal objectstreaming.TALAudio
		if tal.UnmarshalJSON(header) != nil {
			return answer{"wire": "", "error": objectstreaming.CodeEncodeError}
		}
		wire, err = objectstreaming.NewStreamEncoder(objectstreaming.TAL(), objectstreaming.WithPlain()).AppendData(nil, tal, payload)
	default:
		return answer{"skipped": "no coder " + r.Coder}
	}
	if err != nil {
		return answer{"wire": "", "error": objectstreaming.CodeOf(err)}
	}
	return answer{"wire": hex.EncodeToString(wire), "error": ""}
}

// read answers stream, fetch and resume. wire is a payload as the coder has it there.
func read[H, P any](r *request, coder objectstreaming.Coder[H, P], wire func(P) []byte) answer {
	told := answer{"end": "missing", "error": "", "position": 0, "trailers": "7b7d", "message": ""}
	var frames []string
	take := func(message objectstreaming.Message[H, P], err error, fed string) {
		var refused *objectstreaming.PayloadError
		var peers *objectstreaming.StreamError
		var response *objectstreaming.ResponseError
		var transport *url.Error
		switch {
		case err == nil:
			frames = append(frames, fmt.Sprintf("%x:%x", toJSON(message.Header), wire(message.Payload)))
		case errors.As(err, &refused):
			frames = append(frames, fmt.Sprintf("!%d:%d", refused.Index, refused.Offset))
		case errors.As(err, &response):
			told["error"] = fmt.Sprintf("http_status:%d:%s", response.Status, response.Code)
		case errors.As(err, &peers):
			told["end"] = "error:" + string(peers.Code)
			told["message"] = hex.EncodeToString([]byte(peers.Message))
		case errors.As(err, &transport):
			told["error"] = "no_response" // net/http's own error, passed on as it is
		default:
			told["error"] = verdict(err, fed)
		}
		told["frames"] = strings.Join(frames, " ")
	}
	told["frames"] = ""
	var reading interface {
		Position() int64
		Ended() bool
		Trailers() json.RawMessage
	}
	if r.Op == "stream" {
		reading = readChunks(r, coder, take)
	} else {
		stream, err := fetch(r, coder)
		if r.Position != nil {
			told["position"] = *r.Position
		}
		if told["place"] = ""; err != nil {
			take(objectstreaming.Message[H, P]{}, err, "")
			return told
		}
		defer func() { _ = stream.Close() }()
		for message, err := range stream.All() {
			take(message, err, "")
			if len(frames) == r.StopAfter && err == nil {
				if err := stream.Stop(context.Background()); err != nil {
					fail(err)
				}
			}
			if len(frames) == r.LeaveAfter && err == nil {
				break
			}
		}
		if place, ok := stream.Place(); ok {
			told["place"] = fmt.Sprint(place.URL, " ", place.Position)
		}
		reading = stream
	}
	told["position"] = reading.Position()
	if reading.Ended() {
		told["trailers"] = hex.EncodeToString(reading.Trailers())
		if told["end"] == "missing" {
			told["end"] = "ok"
		}
	}
	return told
}

func readChunks[H, P any](
	r *request, coder objectstreaming.Coder[H, P], take func(objectstreaming.Message[H, P], error, string),
) *objectstreaming.StreamDecoder[H, P] {
	decoder := objectstreaming.NewStreamDecoder(coder, options[objectstreaming.DecoderOption](r)...)
	fed := 0
	for chunk := range r.chunks {
		fed += len(chunk)
		for message, err := range decoder.Messages(chunk) {
			take(message, err, fmt.Sprint(" ", fed))
			var refused *objectstreaming.PayloadError
			if err != nil && !errors.As(err, &refused) {
				return decoder
			}
		}
	}
	if err := decoder.Finish(); err != nil {
		take(objectstreaming.Message[H, P]{}, err, fmt.Sprint(" ", fed))
	}
	return decoder
}

func fetch[H, P any](r *request, coder objectstreaming.Coder[H, P]) (*objectstreaming.Stream[H, P], error) {
	options := options[objectstreaming.RequestOption](r)
	if r.Op == "resume" {
		patience := objectstreaming.DefaultPatience
		if r.Patience > 0 {
			patience = time.Duration(r.Patience) * time.Second
		}
		options = append(options, objectstreaming.WithResume(patience))
	}
	if r.Position != nil {
		place := objectstreaming.Place{URL: r.URL, Position: *r.Position}
		return objectstreaming.ResumeAt(context.Background(), place, nil, coder, options...)
	}
	asked, err := http.NewRequestWithContext(context.Background(), r.Method, r.URL, bytes.NewReader(fromHex(r.Body)))
	if err != nil {
		fail(err)
	}
	if r.ContentType != "" {
		asked.Header.Set("Content-Type", r.ContentType)
	}
	return objectstreaming.Do(asked, coder, options...)
}

// verdict is an error in words: its code, and its place where it has one.
func verdict(err error, fed string) string {
	if err == nil {
		return ""
	}
	code := objectstreaming.CodeOf(err)
	if code == "" {
		fail(err) // not documented: a bug
	}
	index, offset := "-", "-"
	var frame *objectstreaming.FrameError
	var protocol *objectstreaming.ProtocolError
	if errors.As(err, &frame) {
		index, offset = fmt.Sprint(frame.Index), fmt.Sprint(frame.Offset)
	} else if errors.As(err, &protocol) {
		index = fmt.Sprint(protocol.Index)
	}
	return fmt.Sprintf("%s %s %s%s", code, index, offset, fed)
}
