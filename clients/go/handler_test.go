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
	"strings"
	"testing"
	"time"
)

type responder = Responder[object, []byte]

func handling(t *testing.T, answer func(*responder, *http.Request) error, opts ...HandlerOption) string {
	t.Helper()
	return answering(t, Handler(Raw[object](), answer, opts...).ServeHTTP)
}

func one(r *responder, _ *http.Request) error { return r.Send(object{}, []byte("one")) }

func get(t *testing.T, url, accept string) (*http.Response, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}

func TestAHandlerAnswersWithWhatTheClientAccepts(t *testing.T) {
	url := handling(t, one)
	for accept, want := range map[string]string{
		Accept:                              vendorType,
		MediaType:                           vendorType,
		MediaType + ";v=1;coder=raw":        vendorType,
		"":                                  PlainMediaType,
		"*/*":                               PlainMediaType,
		"application/*, text/html":          PlainMediaType,
		"nonsense/":                         PlainMediaType,
		MediaType + ";v=2, */*;q=0.1":       PlainMediaType,
		MediaType + ";q=0.2, */*":           PlainMediaType,
		MediaType + ";coder=tal":            "",
		"text/html":                         "",
		"*/*, application/octet-stream;q=0": "",
	} {
		response, _, err := get(t, url, accept)
		if err != nil {
			t.Errorf("%s: %v", accept, err)
		}
		if given := response.Header.Get("Content-Type"); given != want && (want != "" || response.StatusCode != http.StatusNotAcceptable) {
			t.Errorf("%s: HTTP %d, %s", accept, response.StatusCode, given)
		}
	}
}

func TestAHandlersStreamIsWholeWithItsTrailers(t *testing.T) {
	url := handling(t, func(r *responder, request *http.Request) error {
		r.SetTrailers(object{"tokens": 7})
		return one(r, request)
	})
	payloads, stream, err := fetch(t.Context(), url)
	if err != nil || len(payloads) != 1 || string(stream.Trailers()) != `{"tokens":7}` || stream.Heartbeat() != 15*time.Second {
		t.Error(payloads, err)
	}
}

func TestAnEmptyAnswerIsAWholeStream(t *testing.T) {
	url := handling(t, func(*responder, *http.Request) error { return nil })
	if payloads, stream, err := fetch(t.Context(), url); err != nil || len(payloads) != 0 || !stream.Ended() {
		t.Error(payloads, err)
	}
	if response, body, err := get(t, url, "*/*"); err != nil || response.StatusCode != 200 || len(body) != 0 {
		t.Error(response.StatusCode, body, err)
	}
}

func TestAnEarlyErrorIsAStatus(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		want   string
	}{
		{&StreamError{Code: CodeNotFound, Message: "no such document"}, 404, `{"code":"not_found","message":"no such document"}`},
		{&StreamError{Code: CodeNotFound, Details: json.RawMessage("{")}, 404, `{"code":"not_found","message":""}`},
		{errors.New("the password is 123"), 500, `{"code":"internal","message":"internal error"}`},
		{fmt.Errorf("the model: %w", context.DeadlineExceeded), 504, `{"code":"deadline_exceeded","message":"the deadline has passed"}`},
	} {
		url := handling(t, func(r *responder, _ *http.Request) error {
			if err := r.Send(object{"$stream": 1}, nil); !errors.Is(err, CodeEncodeError) {
				return err
			}
			return test.err
		})
		if response, body, err := get(t, url, Accept); err != nil || response.StatusCode != test.status || string(body) != test.want {
			t.Error(response.StatusCode, string(body), err)
		}
	}
}

func TestWhatAnotherServerToldUsIsNotToldOn(t *testing.T) {
	secret := &StreamError{Code: CodePermissionDenied, Message: "key 123 is not known"}
	early := handling(t, func(*responder, *http.Request) error { return secret })
	late := handling(t, func(r *responder, request *http.Request) error { return errors.Join(one(r, request), secret) })
	for _, behind := range []string{early, late} {
		url := handling(t, func(r *responder, request *http.Request) error {
			_, _, err := fetch(request.Context(), behind)
			return err
		})
		if response, body, err := get(t, url, Accept); err != nil || response.StatusCode != 503 || strings.Contains(string(body), "123") {
			t.Error(response.StatusCode, string(body), err)
		}
	}
}

func TestWhatNeedsNoAnswerIsNotAnswered(t *testing.T) {
	url := handling(t, func(*responder, *http.Request) error { panic("the answer was called") })
	for _, asked := range []struct {
		method, last string
		status       int
	}{
		{http.MethodHead, "", 200}, {http.MethodHead, "end", 204}, {http.MethodGet, "end", 204}, {http.MethodGet, "7", 400}, {http.MethodPost, "end", 400},
	} {
		request, _ := http.NewRequestWithContext(t.Context(), asked.method, url, nil)
		request.Header.Set("Accept", Accept)
		if asked.last != "" {
			request.Header.Set("Last-Event-ID", asked.last)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != asked.status || asked.status == 200 && response.Header.Get("Content-Type") != vendorType {
			t.Error(asked, response.Status, response.Header)
		}
	}
}

func TestAMiddlewareMayHoldTheAnswerBack(t *testing.T) {
	handler := Handler(Raw[object](), one)
	url := answering(t, func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
	payloads, stream, err := fetch(t.Context(), url)
	if err != nil || len(payloads) != 1 || stream.Response.Header.Get("Content-Encoding") != "identity" {
		t.Error(payloads, err)
	}
}

func TestADeadlineOfTheServerIsTold(t *testing.T) {
	handler := Handler(Raw[object](), func(r *responder, request *http.Request) error {
		_ = one(r, request)
		<-request.Context().Done()
		return one(r, request)
	})
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Millisecond)
		defer cancel()
		handler.ServeHTTP(w, r.WithContext(ctx))
	})
	if payloads, _, err := fetch(t.Context(), url); CodeOf(err) != CodeDeadlineExceeded || len(payloads) != 1 {
		t.Error(payloads, err)
	}
}

func TestALateErrorNeverLooksWhole(t *testing.T) {
	url := handling(t, func(r *responder, request *http.Request) error {
		return errors.Join(one(r, request), &StreamError{Code: CodeUnavailable, Message: "the model has stopped"})
	})
	_, _, err := fetch(t.Context(), url)
	var told *StreamError
	if !errors.As(err, &told) || told.Code != CodeUnavailable || told.Message != "the model has stopped" {
		t.Errorf("version 1: %v", err)
	}
	if _, body, err := get(t, url, "*/*"); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(string(body), "one") {
		t.Errorf("plain: %q, %v", body, err)
	}
}

func TestALateErrorResetsAConnectionOfHTTP10(t *testing.T) {
	url := handling(t, func(r *responder, request *http.Request) error { return errors.Join(one(r, request), errors.New("oh")) })
	connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "GET / HTTP/1.0\r\n\r\n")
	if body, err := io.ReadAll(connection); err == nil {
		t.Errorf("it looks whole: %q", body)
	}
}

func TestAHandlerSendsPingsWhileTheAnswerThinks(t *testing.T) {
	thought := make(chan struct{})
	url := handling(t, func(r *responder, request *http.Request) error {
		<-thought
		return one(r, request)
	}, WithHeartbeat(time.Millisecond))
	stream, err := Post(t.Context(), url, nil, Raw[object](), WithIdleTimeout(time.Minute)) // the status comes with the first ping
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	close(thought)
	if message, err := stream.Next(); err != nil || string(message.Payload) != "one" {
		t.Error(message, err)
	}
}

func TestLeavingIsNoticed(t *testing.T) {
	noticed := make(chan error)
	url := handling(t, func(r *responder, request *http.Request) error {
		_ = one(r, request)
		<-request.Context().Done()
		noticed <- one(r, request)
		return nil
	})
	stream, err := Post(t.Context(), url, nil, Raw[object]())
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Close()
	var own *CancelError
	if err := <-noticed; !errors.As(err, &own) || own.Position != 1 {
		t.Error(err)
	}
}

func TestAPanicBreaksTheConnection(t *testing.T) {
	server := httptest.NewUnstartedServer(Handler(Raw[object](), func(r *responder, request *http.Request) error {
		_ = one(r, request)
		panic(http.ErrAbortHandler)
	}, WithHeartbeat(time.Millisecond)))
	server.Start()
	t.Cleanup(server.Close)
	if _, _, err := fetch(t.Context(), server.URL); !errors.Is(err, CodeStreamIncomplete) {
		t.Error(err)
	}
}
