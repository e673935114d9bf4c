package objectstreaming

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// answers is a server that gives its answers one after the other, and remembers the requests.
type answers struct {
	*httptest.Server
	mutex    sync.Mutex
	requests []string
	headers  []http.Header
}

func answeringInTurn(t *testing.T, turns ...http.HandlerFunc) *answers {
	t.Helper()
	a := &answers{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mutex.Lock()
		turn := len(a.requests)
		a.requests = append(a.requests, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		a.headers = append(a.headers, r.Header)
		a.mutex.Unlock()
		if turn >= len(turns) {
			t.Errorf("one request too many: %s %s", r.Method, r.URL)
			turn = len(turns) - 1
		}
		turns[turn](w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *answers) got() []string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.requests
}

// part is the answer that begins after a position; cut breaks the connection after the messages.
func part(resume string, position int, cut bool, payloads ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", vendorType)
		stream := map[string]any{"type": "open", "v": 1, "position": position}
		if resume != "" {
			stream["resume"] = resume
		}
		header, _ := json.Marshal(object{"$stream": stream})
		wire, _ := AppendFrame(nil, header, nil)
		for _, payload := range payloads {
			wire, _ = AppendFrame(wire, []byte("{}"), []byte(payload))
		}
		if cut {
			_, _ = w.Write(wire)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		wire, _ = AppendFrame(wire, fmt.Appendf(nil, `{"$stream":{"type":"end","frames":%d}}`, len(payloads)), nil)
		_, _ = w.Write(wire)
	}
}

func refuse(status int, code, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"code":%q,"message":"no"}`, code)
	}
}

// virtual is a clock that passes no real time. Random times are as long as they can be.
type virtual struct {
	time  time.Time
	waits []time.Duration
}

func (v *virtual) option() RequestOption {
	v.time = time.Unix(1_000_000, 0)
	return ResumeOption{func(o *options) {
		o.clock = clock{
			now:    func() time.Time { return v.time },
			jitter: func(longest time.Duration) time.Duration { return longest },
			pause: func(_ context.Context, wait time.Duration) {
				v.waits = append(v.waits, wait)
				v.time = v.time.Add(wait)
			},
		}
	}}
}

func resuming(v *virtual) []RequestOption {
	return []RequestOption{WithResume(5 * time.Minute), v.option()}
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestAStreamThatWasCutIsResumedByGetAndEachMessageComesOnce(t *testing.T) {
	server := answeringInTurn(t,
		part("/streams/a?k=1", 0, true, "one", "two"), part("/streams/a?k=1", 2, true), part("/streams/a?k=1", 1, false, "two", "three"))
	var clock virtual
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/ask", strings.NewReader("why?"))
	request.Header = http.Header{"Authorization": {"Bearer x"}, "Content-Type": {"text/plain"}, "Last-Event-Id": {"9"}}
	stream, err := Do(request, Raw[object](), resuming(&clock)...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	var payloads []string
	for message, err := range stream.All() {
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, string(message.Payload))
	}
	wantEqual(t, payloads, []string{"one", "two", "three"})
	wantEqual(t, server.got(), []string{"POST /ask why?", "GET /streams/a?k=1", "GET /streams/a?k=1"})
	for _, header := range server.headers[1:] {
		if header.Get("Authorization") != "Bearer x" || header.Get("Content-Type") != "" || header.Get("Last-Event-ID") != "2" {
			t.Error(header)
		}
	}
	wantEqual(t, stream.Position(), int64(3))
	wantEqual(t, stream.Ended(), true)
	wantEqual(t, clock.waits, []time.Duration{firstWait, 2 * firstWait})
	if _, err := stream.Next(); err != io.EOF {
		t.Error(err)
	}
}

func TestAGapIsALossAndNoEnd(t *testing.T) {
	for name, second := range map[string]http.HandlerFunc{
		"data after a gap": part("/s", 3, false, "four"), "an end after a gap": part("/s", 3, false), "an end too early": part("/s", 0, false),
	} {
		var clock virtual
		server := answeringInTurn(t, part("/s", 0, true, "one", "two"), second)
		payloads, _, err := fetch(t.Context(), server.URL, resuming(&clock)...)
		if CodeOf(err) != CodeDataLoss || len(payloads) != 2 {
			t.Errorf("%s: %v %v", name, payloads, err)
		}
	}
}

func TestTheWaitIsThatOfTheServerOrGrowsUntilDataArrives(t *testing.T) {
	var clock virtual
	server := answeringInTurn(t, part("/s", 0, true, "one"), refuse(503, "unavailable", ""), refuse(429, "resource_exhausted", "7"),
		refuse(502, "unavailable", ""), refuse(504, "", ""), refuse(503, "", ""), refuse(503, "", ""), refuse(503, "", ""),
		part("/s", 1, true, "two"), part("/s", 2, false))
	payloads, _, err := fetch(t.Context(), server.URL, resuming(&clock)...)
	if err != nil || len(payloads) != 2 {
		t.Error(payloads, err)
	}
	wantEqual(t, clock.waits, []time.Duration{
		firstWait, 2 * firstWait, 7 * time.Second, 8 * firstWait, 16 * firstWait, 32 * firstWait, longestWait, longestWait, firstWait,
	})
}

func TestItGivesUpWhenThePatienceIsOver(t *testing.T) {
	var clock virtual
	turns := []http.HandlerFunc{part("/s", 0, true, "one")}
	for range 9 {
		turns = append(turns, refuse(503, "unavailable", "40"))
	}
	server := answeringInTurn(t, turns...)
	_, stream, err := fetch(t.Context(), server.URL, resuming(&clock)...)
	var response *ResponseError
	if !errors.As(err, &response) || response.Status != 503 {
		t.Error(err)
	}
	if _, again := stream.Next(); CodeOf(again) != CodeUnavailable {
		t.Error(again)
	}
	wantEqual(t, len(server.got()), 9)
	server = answeringInTurn(t, part("/s", 0, true, "one"), refuse(503, "unavailable", "1"), refuse(503, "unavailable", "Fri, 31 Dec 9999 23:59:59 GMT"))
	if _, _, err := fetch(t.Context(), server.URL, resuming(&clock)...); CodeOf(err) != CodeUnavailable {
		t.Error("a date that is too far away:", err)
	}
}

func TestALostStreamIsAskedForForTenSecondsAfterDataOnly(t *testing.T) {
	var clock virtual
	server := answeringInTurn(t, part("/s", 0, true, "one"), refuse(503, "unavailable", "30"), refuse(404, "not_found", "4"),
		refuse(400, "out_of_range", "4"), part("/s", 1, false))
	if payloads, _, err := fetch(t.Context(), server.URL, resuming(&clock)...); err != nil {
		t.Error(payloads, err)
	}
	server = answeringInTurn(t, part("/s", 0, true, "one"), refuse(404, "not_found", "9"), refuse(404, "not_found", "9"), refuse(404, "not_found", ""))
	if _, _, err := fetch(t.Context(), server.URL, resuming(&clock)...); CodeOf(err) != CodeNotFound {
		t.Error(err)
	}
	server = answeringInTurn(t, refuse(404, "not_found", "1"))
	place := Place{server.URL, 1}
	if _, err := ResumeAt(t.Context(), place, nil, Raw[object](), clock.option()); CodeOf(err) != CodeNotFound {
		t.Error(err)
	}
	server = answeringInTurn(t, part("/s", 0, true, "one"), refuse(403, "permission_denied", "1"))
	if _, _, err := fetch(t.Context(), server.URL, resuming(&clock)...); CodeOf(err) != CodePermissionDenied {
		t.Error(err)
	}
}

func TestTheFirstRequestIsNeverRepeated(t *testing.T) {
	var clock virtual
	server := answeringInTurn(t, refuse(503, "unavailable", "1"))
	if _, _, err := fetch(t.Context(), server.URL, resuming(&clock)...); CodeOf(err) != CodeUnavailable {
		t.Error(err)
	}
	server = answeringInTurn(t, part("", 0, true, "one"))
	if _, _, err := fetch(t.Context(), server.URL, resuming(&clock)...); CodeOf(err) != CodeStreamIncomplete {
		t.Error(err)
	}
}

func TestTheRestOfAStreamIsNotPlain(t *testing.T) {
	var clock virtual
	server := answeringInTurn(t, part("/s", 0, true, "one"), reply(PlainMediaType, 200, wireOf(message("two"))))
	_, stream, err := fetch(t.Context(), server.URL, resuming(&clock)...)
	if CodeOf(err) != CodeUnexpectedContentType || stream.Position() != 1 {
		t.Error(err)
	}
}

func TestAResumeOfAnotherOriginIsPassedOver(t *testing.T) {
	var clock virtual
	for _, elsewhere := range []string{"http://127.0.0.1:1/s", "//evil.example/s", "ftp://127.0.0.1/s", "http://[::1/", "file:///s"} {
		server := answeringInTurn(t, part(elsewhere, 0, true, "one"))
		_, stream, err := fetch(t.Context(), server.URL, resuming(&clock)...)
		if CodeOf(err) != CodeStreamIncomplete {
			t.Error(err)
		}
		if place, ok := stream.Place(); ok {
			t.Error(place)
		}
	}
	// Also where a redirect has led to the other origin.
	other := answeringInTurn(t, part("/s", 0, true, "one"))
	server := answeringInTurn(t, http.RedirectHandler(other.URL+"/s", http.StatusTemporaryRedirect).ServeHTTP)
	if _, _, err := fetch(t.Context(), server.URL, resuming(&clock)...); CodeOf(err) != CodeStreamIncomplete {
		t.Error(err)
	}
}

// waiting returns a stream whose Next waits an hour before it tries again, and a channel that is closed when it waits.
func waiting(t *testing.T, ctx context.Context) (*Stream[object, []byte], chan struct{}) {
	t.Helper()
	server := answeringInTurn(t, part("/s", 0, true, "one"), refuse(503, "unavailable", "3600"))
	waits := make(chan struct{})
	noticing := ResumeOption{func(o *options) {
		o.clock.pause = func(ctx context.Context, wait time.Duration) {
			if wait > time.Minute {
				close(waits)
			}
			pause(ctx, wait)
		}
	}}
	stream, err := Post(ctx, server.URL, nil, Raw[object](), WithResume(2*time.Hour), noticing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	if _, err := stream.Next(); err != nil {
		t.Fatal(err)
	}
	return stream, waits
}

func TestACancelEndsABackOffAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stream, waits := waiting(t, ctx)
	stopped := errors.New("user pressed stop")
	go func() { <-waits; cancel(stopped) }()
	_, err := stream.Next()
	var own *CancelError
	if !errors.As(err, &own) || own.Position != 1 || !errors.Is(err, context.Canceled) || !errors.Is(err, stopped) || CodeOf(err) != "" {
		t.Error(err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func TestACancelWhileTheRestArrivesIsTheCallers(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("user pressed stop")
	client := &http.Client{Transport: roundTrip(func(request *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(request)
		if request.Method == http.MethodGet {
			cancel(stopped)
		}
		return response, err
	})}
	var clock virtual
	server := answeringInTurn(t, part("/s", 0, true, "one"), part("/s", 1, false, "two"))
	_, _, err := fetch(ctx, server.URL, append(resuming(&clock), WithHTTPClient(client))...)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, stopped) || errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestACloseEndsABackOffAtOnce(t *testing.T) {
	stream, waits := waiting(t, t.Context())
	go func() { <-waits; _ = stream.Close() }()
	if _, err := stream.Next(); !errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) || CodeOf(err) != "" {
		t.Error(err)
	}
}

func TestAPlaceIsJSONAndCanBeOpenedAgain(t *testing.T) {
	var clock virtual
	server := answeringInTurn(t, part("streams/a", 0, false, "one", "two"), refuse(503, "unavailable", ""), part("streams/a", 1, false, "two"))
	stream, err := Post(t.Context(), server.URL+"/", nil, Raw[object]())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Next(); err != nil {
		t.Fatal(err)
	}
	place, ok := stream.Place()
	text, _ := json.Marshal(place)
	wantEqual(t, string(text), fmt.Sprintf(`{"url":"%s/streams/a","position":1}`, server.URL))
	_ = stream.Close()

	var kept Place
	if err := json.Unmarshal(text, &kept); err != nil || !ok {
		t.Fatal(err)
	}
	again, err := ResumeAt(t.Context(), kept, http.Header{"Authorization": {"Bearer x"}}, Raw[object](), clock.option())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if message, err := again.Next(); err != nil || string(message.Payload) != "two" || again.Position() != 2 {
		t.Error(message, err)
	}
	if _, err := again.Next(); err != io.EOF {
		t.Error(err)
	}
	wantEqual(t, server.got()[1:], []string{"GET /streams/a", "GET /streams/a"})
	wantEqual(t, server.headers[2].Get("Last-Event-ID"), "1")
	wantEqual(t, server.headers[2].Get("Authorization"), "Bearer x")
	for _, bad := range []Place{{"/streams/a", 1}, {server.URL, -1}, {"ftp://example.com/", 1}, {}} {
		if _, err := ResumeAt(t.Context(), bad, nil, Raw[object]()); err == nil {
			t.Error(bad)
		}
	}
}

func TestStopEndsTheStreamAtTheServerAndCloseDoesNot(t *testing.T) {
	gone := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	server := answeringInTurn(t, part("/s", 0, false, "one"), gone, refuse(403, "permission_denied", ""))
	stream, err := Post(t.Context(), server.URL, "why?", Raw[object]())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Stop(t.Context()); err == nil || CodeOf(err) != "" {
		t.Error("the server has not said yet where the stream is:", err)
	}
	if _, err := stream.Next(); err != nil {
		t.Fatal(err)
	}
	if err := stream.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := stream.Stop(t.Context()); CodeOf(err) != CodePermissionDenied {
		t.Error(err)
	}
	_ = stream.Close()
	wantEqual(t, server.got(), []string{`POST / "why?"`, "DELETE /s", "DELETE /s"})
}

func TestARefusedPayloadIsToldOnce(t *testing.T) {
	var clock virtual
	json := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { next(contentType{w}, r) }
	}
	server := answeringInTurn(t, json(part("/s", 0, true, "1", "no")), json(part("/s", 0, false, "1", "no", "3")))
	stream, err := Post(t.Context(), server.URL, nil, JSON[object, int](), resuming(&clock)...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	var told []string
	for message, err := range stream.All() {
		told = append(told, fmt.Sprint(message.Payload, " ", CodeOf(err)))
	}
	wantEqual(t, told, []string{"1 ", "0 invalid_payload", "3 "})
}

// contentType makes a response one of the coder json.
type contentType struct{ http.ResponseWriter }

func (w contentType) Write(p []byte) (int, error) {
	w.Header().Set("Content-Type", MediaType+";v=1;coder=json")
	return w.ResponseWriter.Write(p)
}

func (w contentType) Unwrap() http.ResponseWriter { return w.ResponseWriter }
