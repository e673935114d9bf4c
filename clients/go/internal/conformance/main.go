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
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := out.Encode(answerTo(line)); err != nil {
				fail(err)
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			fail(err)
		}
	}
}

// fail stops the program: the protocol has no answer for what went wrong.
func fail(err error) {
	fmt.Fprintln(os.Stderr, "conformance:", err)
	os.Exit(1)
}

func answerTo(line []byte) answer {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		fail(err)
	}
	made := perform(&r)
	made["id"] = r.ID
	return made
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

func (r *request) limits() (options []objectstreaming.LimitOption) {
	if r.MaxFrame != nil {
		options = append(options, objectstreaming.WithMaxFrame(*r.MaxFrame))
	}
	if r.MaxHeader != nil {
		options = append(options, objectstreaming.WithMaxHeader(*r.MaxHeader))
	}
	return options
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
	options := []objectstreaming.FrameOption{objectstreaming.WithLayout(r.layout())}
	for _, limit := range r.limits() {
		options = append(options, limit)
	}
	decoder := objectstreaming.NewFrameDecoder(options...)
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

// read answers stream and fetch. wire is a payload as the coder has it there.
func read[H, P any](r *request, coder objectstreaming.Coder[H, P], wire func(P) []byte) answer {
	told := answer{"frames": "", "end": "missing", "error": "", "position": 0, "trailers": "7b7d", "message": ""}
	var frames []string
	// take gives false after an error that ends the reading.
	take := func(message objectstreaming.Message[H, P], err error, fed string) bool {
		var refused *objectstreaming.PayloadError
		var peers *objectstreaming.StreamError
		var response *objectstreaming.ResponseError
		var transport *url.Error
		switch {
		case err == nil:
			frames = append(frames, fmt.Sprintf("%x:%x", toJSON(message.Header), wire(message.Payload)))
			return true
		case errors.As(err, &refused):
			frames = append(frames, fmt.Sprintf("!%d:%d", refused.Index, refused.Offset))
			return true
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
		return false
	}
	finish := func(position int64, ended bool, trailers []byte) answer {
		told["frames"] = strings.Join(frames, " ")
		told["position"] = position
		if ended {
			told["trailers"] = hex.EncodeToString(trailers)
			if told["end"] == "missing" {
				told["end"] = "ok"
			}
		}
		return told
	}
	if r.Op != "stream" {
		var begun int64
		if r.Position != nil {
			begun = *r.Position
		}
		if r.Op == "resume" {
			told["place"] = ""
		}
		stream, err := fetch(r, coder)
		if err != nil {
			take(objectstreaming.Message[H, P]{}, err, "")
			return finish(begun, false, nil)
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
		if r.Op == "resume" {
			if place, ok := stream.Place(); ok {
				told["place"] = fmt.Sprint(place.URL, " ", place.Position)
			}
		}
		return finish(stream.Position(), stream.Ended(), stream.Trailers())
	}
	var options []objectstreaming.DecoderOption
	for _, limit := range r.limits() {
		options = append(options, limit)
	}
	if r.RequireEnd != "" {
		options = append(options, objectstreaming.WithRequiredEnd(r.RequireEnd == "yes"))
	}
	decoder := objectstreaming.NewStreamDecoder(coder, options...)
	defer func() { finish(decoder.Position(), decoder.Ended(), decoder.Trailers()) }()
	fed := 0
	for chunk := range r.chunks {
		fed += len(chunk)
		decoder.Feed(chunk)
		for {
			message, ok, err := decoder.Next()
			if !ok && err == nil {
				break
			}
			if !take(message, err, fmt.Sprint(" ", fed)) {
				return told
			}
		}
	}
	if err := decoder.Finish(); err != nil {
		take(objectstreaming.Message[H, P]{}, err, fmt.Sprint(" ", fed))
	}
	return told
}

func fetch[H, P any](r *request, coder objectstreaming.Coder[H, P]) (*objectstreaming.Stream[H, P], error) {
	method := r.Method
	if method == "" {
		method = http.MethodPost
	}
	asked, err := http.NewRequestWithContext(context.Background(), method, r.URL, bytes.NewReader(fromHex(r.Body)))
	if err != nil {
		fail(err)
	}
	if r.Body != "" {
		asked.Header.Set("Content-Type", "application/json")
		if r.ContentType != "" {
			asked.Header.Set("Content-Type", r.ContentType)
		}
	}
	var options []objectstreaming.RequestOption
	for _, limit := range r.limits() {
		options = append(options, limit)
	}
	if r.RequireEnd != "" {
		options = append(options, objectstreaming.WithRequiredEnd(r.RequireEnd == "yes"))
	}
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
