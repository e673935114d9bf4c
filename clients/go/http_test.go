package objectstreaming

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const vendorType = MediaType + ";v=1;coder=raw"

type object = map[string]any

// answering starts a server that answers every request with the handler, and returns its URL.
func answering(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// reply is a handler that writes a whole body.
func reply(contentType string, status int, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

func sendAll(w io.Writer, steps ...func(*Encoder[object, []byte]) error) {
	encoder := NewEncoder(w, Raw[object]())
	for _, step := range steps {
		if err := step(encoder); err != nil {
			return // the client has closed the connection
		}
	}
}

func opening(heartbeat time.Duration) func(*Encoder[object, []byte]) error {
	return func(e *Encoder[object, []byte]) error { return e.Open(Open{Heartbeat: heartbeat}) }
}

func message(payload string) func(*Encoder[object, []byte]) error {
	return func(e *Encoder[object, []byte]) error { return e.Encode(object{}, []byte(payload)) }
}

func ending(e *Encoder[object, []byte]) error { return e.End(object{"tokens": 7}) }

func wireOf(steps ...func(*Encoder[object, []byte]) error) []byte {
	var wire strings.Builder
	sendAll(&wire, steps...)
	return []byte(wire.String())
}

// fetch posts a question, reads all messages, and returns the payloads and the first error.
func fetch(ctx context.Context, url string, opts ...RequestOption) (payloads []string, stream *Stream[object, []byte], err error) {
	stream, err = Post(ctx, url, object{"q": "why?"}, Raw[object](), opts...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	for message, err := range stream.All() {
		if err != nil {
			return payloads, stream, err
		}
		payloads = append(payloads, string(message.Payload))
	}
	return payloads, stream, nil
}

func TestAQuestionAndItsAnswer(t *testing.T) {
	wire := wireOf(opening(0), message("one"), message("two"), ending)
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked := fmt.Sprint(r.Method, " ", string(body), " ", r.Header["Accept"], r.Header["Accept-Encoding"], r.Header["Content-Type"])
		if want := `POST {"q":"why?"} [` + Accept + `] [identity] [application/json]`; asked != want {
			t.Errorf("the request is %s, not %s", asked, want)
		}
		w.Header().Set("Content-Type", vendorType)
		w.Header().Set("X-Answer", "7")
		_, _ = w.Write(wire)
	})
	payloads, stream, err := fetch(t.Context(), url)
	if err != nil || strings.Join(payloads, " ") != "one two" {
		t.Fatal(payloads, err)
	}
	if stream.Position() != 2 || string(stream.Trailers()) != `{"tokens":7}` || stream.Response.Header.Get("X-Answer") != "7" {
		t.Errorf("%d %s %v", stream.Position(), stream.Trailers(), stream.Response.Header)
	}
}

func TestDoKeepsTheCallersHeadersAndRequest(t *testing.T) {
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != PlainMediaType || r.Header.Get("Last-Event-ID") != "3" || r.Method != http.MethodGet {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		w.Header().Set("Content-Type", PlainMediaType)
		_, _ = w.Write(wireOf(message("four")))
	})
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	request.Header.Set("Accept", PlainMediaType)
	request.Header.Set("Last-Event-ID", "3")
	stream, err := Do(request, Raw[object](), WithHTTPClient(&http.Client{Timeout: time.Minute}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	if got, err := stream.Next(); err != nil || string(got.Payload) != "four" {
		t.Error(got, err)
	}
	if _, err := stream.Next(); err != io.EOF {
		t.Error(err)
	}
	if len(request.Header) != 2 {
		t.Errorf("the caller's request was changed: %v", request.Header)
	}
}

func TestAResponseOfVersion1EndsWithItsEnd(t *testing.T) {
	wire := wireOf(message("one"))
	if _, _, err := fetch(t.Context(), answering(t, reply(vendorType, 200, wire))); !errors.Is(err, CodeStreamIncomplete) {
		t.Errorf("without its end: %v", err)
	}
	if payloads, _, err := fetch(t.Context(), answering(t, reply(PlainMediaType, 200, wire))); err != nil || len(payloads) != 1 {
		t.Errorf("plain: %v", err)
	}
	if _, _, err := fetch(t.Context(), answering(t, reply(PlainMediaType, 200, wire)), WithRequiredEnd(true)); !errors.Is(err, CodeStreamIncomplete) {
		t.Errorf("plain, where the caller wants an end: %v", err)
	}
	failed := func(e *Encoder[object, []byte]) error {
		return e.Fail(&StreamError{Code: CodeUnavailable, Message: "gone"})
	}
	payloads, _, err := fetch(t.Context(), answering(t, reply(vendorType, 200, wireOf(message("one"), failed))))
	var reported *StreamError
	if !errors.As(err, &reported) || reported.Code != CodeUnavailable || reported.Message != "gone" || len(payloads) != 1 {
		t.Errorf("an end with an error: %v", err)
	}
}

// stalling answers with a body, and then sends nothing until the client closes the connection.
func stalling(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func TestThreeHeartbeatsOfSilenceAreAnIdleTimeout(t *testing.T) {
	whole := wireOf(opening(50*time.Millisecond), message("one"))
	for name, body := range map[string][]byte{"between two frames": whole, "inside a frame": append(whole[:len(whole):len(whole)], 40, 0)} {
		began := time.Now()
		payloads, _, err := fetch(t.Context(), answering(t, stalling(vendorType, body)))
		var incomplete *IncompleteError
		var timeout net.Error
		if !errors.As(err, &incomplete) || incomplete.Code != CodeIdleTimeout || incomplete.Position != 1 || len(payloads) != 1 ||
			!errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: %v, %v", name, payloads, err)
		}
		if took := time.Since(began); took < 150*time.Millisecond || took > 5*time.Second {
			t.Errorf("%s: it took %v, not 150 ms", name, took)
		}
	}
	if _, _, err := fetch(t.Context(), answering(t, stalling(PlainMediaType, wireOf(message("x")))), WithIdleTimeout(50*time.Millisecond)); !errors.Is(err, CodeIdleTimeout) {
		t.Errorf("a plain stream, with a limit of the caller: %v", err)
	}
}

func TestNoResponseInTimeIsAnIdleTimeout(t *testing.T) {
	url := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices a closed connection only after it has read the body
		<-r.Context().Done()
	})
	if _, _, err := fetch(t.Context(), url, WithIdleTimeout(50*time.Millisecond)); !errors.Is(err, CodeIdleTimeout) {
		t.Error(err)
	}
}

func TestASlowConsumerCausesNoTimeout(t *testing.T) {
	wire := wireOf(opening(10*time.Millisecond), message("one"), message("two"), ending)
	response := &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {vendorType}},
		Body: io.NopCloser(iotest.OneByteReader(bytes.NewReader(wire))),
	}
	stream, err := ReadResponse(response, Raw[object]())
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range stream.All() {
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Millisecond) // more than three heartbeats
	}
	if stream.Position() != 2 {
		t.Error(stream.Position())
	}
}

func TestCancelling(t *testing.T) {
	url := answering(t, stalling(vendorType, wireOf(opening(0), message("one"))))
	enough := errors.New("enough of it")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stream, err := Post(ctx, url, nil, Raw[object]())
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range stream.All() {
		if last = err; err == nil {
			cancel(enough)
		}
	}
	var own *CancelError
	if !errors.As(last, &own) || own.Position != 1 || !errors.Is(last, enough) || !errors.Is(last, context.Canceled) {
		t.Errorf("while reading: %v", last)
	}
	if errors.Is(last, CodeStreamIncomplete) || errors.Is(last, io.ErrUnexpectedEOF) || CodeOf(last) != "" {
		t.Errorf("the caller's own cancel looks like a cut: %v", last)
	}
	if _, again := stream.Next(); again != last {
		t.Errorf("the next read returns %v", again)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel2 := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel2()
	if _, _, err := fetch(ctx, url); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, CodeIdleTimeout) {
		t.Errorf("a deadline of the caller: %v", err)
	}
	ctx, cancel3 := context.WithCancel(t.Context())
	cancel3()
	if _, _, err := fetch(ctx, url); !errors.Is(err, context.Canceled) {
		t.Errorf("before the request: %v", err)
	}
	ctx, cancel4 := context.WithCancelCause(t.Context())
	cancel4(enough)
	if _, _, err := fetch(ctx, url); !errors.Is(err, context.Canceled) || !errors.Is(err, enough) {
		t.Errorf("before the request, with a cause: %v", err)
	}
	ctx, cancel5 := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel5()
	page := answering(t, stalling("text/html", []byte("<html>")))
	if _, _, err := fetch(ctx, page); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, CodeUnexpectedContentType) {
		t.Errorf("while a page is read that is not a stream: %v", err)
	}
}

func TestTheCutOfAnotherStreamOfAGroupIsNoCutOfThisOne(t *testing.T) {
	url := answering(t, stalling(vendorType, wireOf(opening(0))))
	for _, other := range []error{&IncompleteError{Code: CodeStreamIncomplete, Message: "the other"}, &FrameError{Code: CodeTruncatedFrame}, io.ErrUnexpectedEOF} {
		ctx, cancel := context.WithCancelCause(t.Context())
		stream, err := Post(ctx, url, nil, Raw[object](), WithResume(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		cancel(other)
		_, err = stream.Next()
		if !errors.Is(err, context.Canceled) || CodeOf(err) != "" || errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), other.Error()) {
			t.Error(err)
		}
		_ = stream.Close()
	}
}

func TestTheTimeoutOfTheClientIsTheCallers(t *testing.T) {
	url := answering(t, stalling(vendorType, wireOf(opening(0), message("one"))))
	payloads, _, err := fetch(t.Context(), url, WithHTTPClient(&http.Client{Timeout: 100 * time.Millisecond}), WithResume(time.Minute))
	var own *CancelError
	if !errors.As(err, &own) || own.Position != 1 || !errors.Is(err, context.DeadlineExceeded) || CodeOf(err) != "" {
		t.Error(payloads, err)
	}
}

func TestCloseEndsAReadThatWaits(t *testing.T) {
	url := answering(t, stalling(vendorType, append(wireOf(opening(0), message("one")), 0xff)))
	stream, err := Post(t.Context(), url, nil, Raw[object]())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Next(); err != nil {
		t.Fatal(err)
	}
	go stream.Close()
	_, err = stream.Next()
	var own *CancelError
	if !errors.As(err, &own) || own.Position != 1 || !errors.Is(err, net.ErrClosed) || errors.Is(err, CodeTruncatedFrame) {
		t.Errorf("a Next that waits: %v", err)
	}
	if _, again := stream.Next(); again != err {
		t.Errorf("a Next after Close: %v", again)
	}
}

func TestAResponseOfAnotherClientIsReadWithAllChecks(t *testing.T) {
	get := func(url string) *http.Response {
		t.Helper()
		response, err := http.Get(url) //nolint:bodyclose // ReadResponse closes it
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	url := answering(t, reply(vendorType, 200, wireOf(opening(0), message("one"), ending)))
	stream, err := ReadResponse(get(url), Raw[object]())
	if err != nil {
		t.Fatal(err)
	}
	if message, err := stream.Next(); err != nil || string(message.Payload) != "one" {
		t.Error(message, err)
	}
	if _, err := stream.Next(); err != io.EOF {
		t.Error(err)
	}
	_ = stream.Close()
	url = answering(t, reply("text/html", 200, []byte("<html>")))
	if _, err := ReadResponse(get(url), Raw[object]()); !errors.Is(err, CodeUnexpectedContentType) {
		t.Errorf("a page: %v", err)
	}
	url = answering(t, stalling(vendorType, wireOf(opening(10*time.Millisecond))))
	stream, err = ReadResponse(get(url), Raw[object]())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Next(); !errors.Is(err, CodeIdleTimeout) {
		t.Errorf("three heartbeats of silence: %v", err)
	}
}

func TestAnErrorSaysWhenToComeBack(t *testing.T) {
	for given, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 0 ": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0,
		"": -1, "-1": -1, "soon": -1, "1.5": -1, "99999999999999999999": math.MaxInt32 * time.Second,
	} {
		url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", given)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, _, err := fetch(t.Context(), url)
		var refused *ResponseError
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if wait, ok := refused.RetryAfter(); ok != (want >= 0) || ok && wait != want {
			t.Errorf("%q: %v, %v", given, wait, ok)
		}
	}
}

func TestARedirectThatIsNotFollowedSaysWhereItLed(t *testing.T) {
	url := answering(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusSeeOther) })
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if _, _, err := fetch(t.Context(), url, WithHTTPClient(client)); err == nil || !strings.Contains(err.Error(), `to "/elsewhere"`) {
		t.Error(err)
	}
}

func TestCloseClosesTheConnection(t *testing.T) {
	left := make(chan struct{})
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		stalling(vendorType, wireOf(opening(0), message("one")))(w, r)
		close(left)
	})
	stream, err := Post(t.Context(), url, nil, Raw[object]())
	if err != nil {
		t.Fatal(err)
	}
	for range stream.All() {
		break
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Error("the server did not notice it")
	}
}

func TestAStatusThatIsNot2xxIsItsProblemDecoded(t *testing.T) {
	for _, c := range []struct {
		status  int
		body    string
		code    Code
		message string
		detail  string
	}{
		{429, `{"code":"resource_exhausted","message":"slow down","details":{"seconds":3}}`, CodeResourceExhausted, "slow down", `{"seconds":3}`},
		{400, `{"detail":{"code":"out_of_range","message":"beyond the end"}}`, CodeOutOfRange, "beyond the end", ""},
		{422, `{"detail":[{"loc":["body","q",0],"msg":"too long"}]}`, CodeInvalidArgument, "body.q.0: too long", `[{"loc":["body","q",0],"msg":"too long"}]`},
		{503, `{"title":"Overloaded","status":503}`, CodeUnavailable, "Overloaded", ""},
		{404, `{"code":"made_up","message":5,"details":null}`, CodeNotFound, "Not Found", ""},
		{502, "<html>\n <b>Bad</b> gateway", CodeUnavailable, "<html> <b>Bad</b> gateway", ""},
		{500, `[1]`, CodeInternal, "Internal Server Error", ""},
		{500, `{"code":"unavailable","details":NaN}`, CodeInternal, `{"code":"unavailable","details":NaN}`, ""},
		{500, "\x1b[31mred\x00", CodeInternal, "\ufffd[31mred\ufffd", ""},
		{418, "", CodeUnknown, "I'm a teapot", ""},
		{301, "", CodeUnknown, "Moved Permanently", ""},
	} {
		_, _, err := fetch(t.Context(), answering(t, reply("application/json", c.status, []byte(c.body))))
		var response *ResponseError
		if !errors.As(err, &response) || !errors.Is(err, c.code) {
			t.Errorf("%d: %v", c.status, err)
			continue
		}
		if response.Status != c.status || response.Code != c.code || response.Message != c.message ||
			string(response.Details) != c.detail || string(response.Body) != c.body {
			t.Errorf("%d: %+v", c.status, response)
		}
	}
}

func TestAResponseThatIsNotAStreamIsRefused(t *testing.T) {
	wire := wireOf(message("x"))
	for contentType, want := range map[string]string{
		"text/html; charset=utf-8":        "text/html",
		"":                                "no Content-Type",
		"application/json":                "application/json",
		MediaType:                         `version ""`,
		MediaType + ";v=2":                `version "2"`,
		MediaType + `;v=1;coder="tal"`:    `coder is "tal"`,
		PlainMediaType + ";coder=msgpack": `coder is "msgpack"`,
		"application/;;;":                 "content type",
	} {
		_, _, err := fetch(t.Context(), answering(t, reply(contentType, 200, wire)))
		var refused *ContentTypeError
		if !errors.As(err, &refused) || !errors.Is(err, CodeUnexpectedContentType) || !strings.Contains(err.Error(), want) ||
			refused.ContentType != contentType || string(refused.Beginning) != string(wire) {
			t.Errorf("%q: %v", contentType, err)
		}
	}
	for _, contentType := range []string{"APPLICATION/OCTET-STREAM", PlainMediaType + ";coder=raw", MediaType + `; V="1"`} {
		if _, _, err := fetch(t.Context(), answering(t, reply(contentType, 200, wire))); errors.Is(err, CodeUnexpectedContentType) {
			t.Errorf("%q: %v", contentType, err)
		}
	}
	status := 200
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"], w.Header()["Content-Encoding"] = []string{PlainMediaType}, []string{"identity", "br"}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "\x8b\x01\x80")
	})
	if _, _, err := fetch(t.Context(), url); !errors.Is(err, CodeUnexpectedContentType) {
		t.Errorf("brotli: %v", err)
	}
	status = 503
	if _, _, err := fetch(t.Context(), url); !strings.HasSuffix(fmt.Sprint(err), `a body of Content-Encoding "br"`) {
		t.Errorf("a problem in brotli: %v", err)
	}
}

func TestGzipIsReadAlthoughItWasNotAskedFor(t *testing.T) {
	wire := wireOf(message("one"))
	var zipped strings.Builder
	writer := gzip.NewWriter(&zipped)
	_, _ = writer.Write(wire)
	_ = writer.Close()
	size := zipped.Len()
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", PlainMediaType)
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, zipped.String()[:size])
	})
	if payloads, _, err := fetch(t.Context(), url); err != nil || len(payloads) != 1 {
		t.Error(payloads, err)
	}
	for _, codings := range [][]string{{"x-gzip"}, {"identity", "gzip"}, {"identity, GZIP"}} {
		coded := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"], w.Header()["Content-Encoding"] = []string{PlainMediaType}, codings
			_, _ = io.WriteString(w, zipped.String())
		})
		if payloads, _, err := fetch(t.Context(), coded); err != nil || len(payloads) != 1 {
			t.Error(codings, payloads, err)
		}
	}
	for size = range zipped.Len() {
		if _, _, err := fetch(t.Context(), url); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", size, err)
		}
	}
}

func TestAQuestionThatIsNotJSONIsNotSent(t *testing.T) {
	url := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	if _, err := Post(t.Context(), url, make(chan int), JSON[object, json.RawMessage]()); !errors.Is(err, CodeEncodeError) {
		t.Error(err)
	}
}
