package objectstreaming_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	objectstreaming "example.com/objectstreaming/clients/go"
)

type Status struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
}

type Answer struct {
	Answer string `json:"answer"`
	Source string `json:"source"`
}

// exampleServer answers every question with two sentences.
func exampleServer() *httptest.Server {
	type responder = objectstreaming.Responder[Status, Answer]
	return httptest.NewServer(objectstreaming.Handler(objectstreaming.JSON[Status, Answer](), func(r *responder, _ *http.Request) error {
		r.SetTrailers(map[string]int{"tokens": 9})
		err := r.Send(Status{Status: "success"}, Answer{"Frames have lengths.", "spec.md"})
		return errors.Join(err, r.Send(Status{Status: "success"}, Answer{"So a cut is found.", "spec.md"}))
	}))
}

func ExamplePost() {
	server := exampleServer()
	defer server.Close()

	question := map[string]string{"question": "Why frames?"}
	stream, err := objectstreaming.Post(context.Background(), server.URL, question, objectstreaming.JSON[Status, Answer]())
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for message, err := range stream.All() {
		if err != nil {
			log.Fatal(err) // the stream was cut, was silent for too long, or failed
		}
		fmt.Println(message.Payload.Answer)
	}
	fmt.Println(stream.Position(), string(stream.Trailers()))
	// Output:
	// Frames have lengths.
	// So a cut is found.
	// 2 {"tokens":9}
}

func ExampleNewDecoder() {
	var file bytes.Buffer
	coder := objectstreaming.TAL()
	encoder := objectstreaming.NewEncoder(&file, coder)
	_ = encoder.Open(objectstreaming.Open{})
	_ = encoder.Encode(objectstreaming.TALAudio{Answer: "Yes."}, objectstreaming.PCM16([]int16{0, 100, -100}))
	_ = encoder.End(nil)

	for message, err := range objectstreaming.NewDecoder(&file, coder).All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(message.Header.Answer, message.Header.SampleRate, message.Payload.Int16())
	}
	// Output: Yes. 16000 [0 100 -100]
}

func ExampleReadFrames() {
	wire, _ := objectstreaming.AppendFrame(nil, []byte(`{"a": 1}`), []byte(`{"b": 2}`))
	fmt.Printf("%x\n", wire)
	for frame, err := range objectstreaming.ReadFrames(bytes.NewReader(wire)) {
		fmt.Println(string(frame.Header), string(frame.Payload), frame.Index, frame.Offset, err)
	}
	// Output:
	// 18000000080000007b2261223a20317d7b2262223a20327d
	// {"a": 1} {"b": 2} 0 0 <nil>
}

func ExampleFrameError() {
	for _, err := range objectstreaming.ReadFrames(strings.NewReader("<html>502 Bad Gateway</html>")) {
		var bad *objectstreaming.FrameError
		if errors.As(err, &bad) {
			fmt.Println(bad.Code, bad.Index, bad.Offset)
		}
		fmt.Println(errors.Is(err, objectstreaming.CodeFrameTooLarge))
		fmt.Println(err)
	}
	// Output:
	// frame_too_large 0 0
	// true
	// objectstreaming: frame_too_large: T is 1836345404, above the limit of 16777216 bytes: the stream starts with "<htm", an error page? (frame 0, byte 0)
}

func ExampleStreamDecoder() {
	coder := objectstreaming.JSON[map[string]any, string]()
	wire, _ := objectstreaming.NewStreamEncoder(coder).AppendData(nil, map[string]any{"n": 1}, "hello")
	decoder := objectstreaming.NewStreamDecoder(coder)
	for _, chunk := range [][]byte{wire[:5], wire[5:9], wire[9:]} {
		decoder.Feed(chunk)
		for {
			message, ok, err := decoder.Next()
			if err != nil {
				log.Fatal(err)
			}
			if !ok {
				break
			}
			fmt.Println(message.Header["n"], message.Payload)
		}
	}
	fmt.Println(decoder.Finish())
	// Output:
	// 1 hello
	// <nil>
}
