package objectstreaming

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Responder writes the stream of one response, for [Handler].
type Responder[H, P any] struct {
	writer      http.ResponseWriter
	request     *http.Request
	encoder     *Encoder[H, P]
	plain       bool
	contentType string
	trailers    any
	mutex       sync.Mutex // of the writer, and of what follows
	opening     []byte     // the open frame, until the first message goes out
	opened      bool
	started     bool // the status was sent
}

// Send sends a message, at once. The first one sends the status 200 too. If the client has left, the error is a *CancelError,
// and the answer should return it. Several goroutines may call Send.
func (r *Responder[H, P]) Send(header H, payload P) error {
	if r.request.Context().Err() != nil {
		return &CancelError{Position: r.encoder.Position(), Err: reason(r.request.Context())}
	}
	return r.flushed(func() error { return r.encoder.Encode(header, payload) })
}

// SetTrailers sets the JSON object that goes out with the end: a struct or a map.
func (r *Responder[H, P]) SetTrailers(trailers any) { r.trailers = trailers }

// flushed writes something, and what must stand before it. A writer that cannot flush is that of a middleware which passes the
// answer on when it is whole.
func (r *Responder[H, P]) flushed(write func() error) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if err := write(); err != nil {
		return err
	}
	err := http.NewResponseController(r.writer).Flush()
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// write is for the encoder. The open frame is kept and goes out with the first message, and the status too: until then an
// error has a status of its own, and a message that cannot be encoded changes nothing.
func (r *Responder[H, P]) write(wire []byte) (int, error) {
	if !r.opened {
		r.opened, r.opening = true, slices.Clone(wire)
		return len(wire), nil
	}
	if !r.started {
		r.start()
		if _, err := r.writer.Write(r.opening); err != nil {
			return 0, err
		}
	}
	return r.writer.Write(wire)
}

// start sends the status.
func (r *Responder[H, P]) start() {
	r.started = true
	header := r.writer.Header()
	header.Set("Content-Type", r.contentType)
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("Content-Encoding", "identity") // a middleware that compresses would hold frames back
	header.Set("X-Accel-Buffering", "no")      // nginx passes on what it gets at once
	r.writer.WriteHeader(http.StatusOK)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Handler answers requests with streams, as the Python server does. answer sends the messages, and returns when there are no
// more; it must return when the context of the request has ended, because then the client has left.
//
// Clients that ask for version 1 get it, with a ping every 15 s ([WithHeartbeat]), and an end. Others get a plain stream.
// Clients that accept neither get 406, and those that ask for the rest of a stream 400. HEAD is answered without calling answer.
// The status waits for the first message: if answer returns an error before it, the client gets the status of that error and a
// JSON problem. After the first message an error goes out with the end, and a plain stream is aborted, so that it does not look
// whole.
//
// A [StreamError] that answer has made is sent as it is. One that has come from another server, which may say things that the
// client must not know, is sent as "unavailable", a [context.DeadlineExceeded] as "deadline_exceeded", and any other error as
// "internal". These are logged with [slog.Default].
func Handler[H, P any](
	coder Coder[H, P], answer func(*Responder[H, P], *http.Request) error, opts ...HandlerOption,
) http.Handler {
	chosen := optionsOf(opts)
	if chosen.heartbeat == 0 {
		chosen.heartbeat = 15 * time.Second
	}
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Add("Vary", "Accept")
		chosen, contentType := chosen, fmt.Sprintf("%s;v=%d;coder=%s", MediaType, Version, coder.Name())
		framed, acceptable := negotiate(request.Header.Values("Accept"), coder.Name())
		chosen.plain = !framed
		switch last := request.Header.Get("Last-Event-ID"); {
		case last == "end" && (request.Method == http.MethodGet || request.Method == http.MethodHead):
			w.WriteHeader(http.StatusNoContent) // so an EventSource, which asks again after the end, stops
			return
		case last != "":
			writeProblem(w, http.StatusBadRequest, &StreamError{Code: CodeOutOfRange,
				Message: "this stream cannot be resumed: there is nothing after Last-Event-ID here"})
			return
		case !acceptable:
			writeProblem(w, http.StatusNotAcceptable, &StreamError{Code: CodeInvalidArgument, Message: fmt.Sprintf(
				"this endpoint answers with %s or %s; Accept names neither", contentType, PlainMediaType)})
			return
		case chosen.plain:
			contentType = PlainMediaType
		}
		ctx, leave := context.WithCancel(request.Context())
		defer leave()
		request = request.WithContext(ctx)
		r := &Responder[H, P]{writer: w, request: request, contentType: contentType, plain: chosen.plain, opened: chosen.plain}
		if request.Method == http.MethodHead {
			r.start()
			return
		}
		r.encoder = &Encoder[H, P]{writer: writerFunc(r.write), stream: &StreamEncoder[H, P]{options: chosen, coder: coder}}
		if framed {
			_ = r.encoder.Open(Open{Heartbeat: chosen.heartbeat}) // is kept, and cannot fail
		}
		stop := r.ping(chosen.heartbeat, leave)
		defer stop() // answer may panic
		err := answer(r, request)
		stop()
		r.finish(err)
	})
}

// ping sends pings until the function that it returns is called. It calls leave if the client has left.
func (r *Responder[H, P]) ping(heartbeat time.Duration, leave func()) (stop func()) {
	if r.plain {
		return func() {}
	}
	stopped, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-stopped:
				return
			case <-ticker.C:
				if r.flushed(r.encoder.Ping) != nil {
					leave()
					return
				}
			}
		}
	}()
	return sync.OnceFunc(func() { close(stopped); <-over })
}

func (r *Responder[H, P]) finish(err error) {
	if err == nil {
		end := func() error { return r.encoder.End(r.trailers) }
		if r.plain {
			end = func() error { _, err := r.write(nil); return err }
		}
		if err = r.flushed(end); err == nil {
			return
		}
	}
	if errors.Is(r.request.Context().Err(), context.Canceled) { // nobody reads
		r.abort()
	}
	failure := published(err, r.request)
	switch {
	case !r.started:
		writeProblem(r.writer, failure.Code.HTTPStatus(), failure)
	case r.plain || r.flushed(func() error { return r.encoder.Fail(failure) }) != nil:
		r.abort()
	}
}

// abort breaks the connection: the client must not take this for the end. HTTP/1.0, which proxies speak, ends a body by closing
// the connection, so only a reset is different from an end.
func (r *Responder[H, P]) abort() {
	if !r.request.ProtoAtLeast(1, 1) {
		if connection, _, err := http.NewResponseController(r.writer).Hijack(); err == nil {
			if tcp, ok := connection.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = connection.Close()
		}
	}
	panic(http.ErrAbortHandler)
}

// published is what the client may know of an error.
func published(err error, request *http.Request) *StreamError {
	var told *StreamError
	isTold := errors.As(err, &told)
	if isTold && !told.fromPeer && told.Code.HTTPStatus() != 0 {
		return told
	}
	slog.ErrorContext(request.Context(), "a stream failed", "path", request.URL.Path, "error", err)
	switch {
	case isTold && told.fromPeer:
		return &StreamError{Code: CodeUnavailable, Message: "a service behind this one failed"}
	case errors.Is(err, context.DeadlineExceeded):
		return &StreamError{Code: CodeDeadlineExceeded, Message: "the deadline has passed"}
	}
	return &StreamError{Code: CodeInternal, Message: "internal error"}
}

func writeProblem(w http.ResponseWriter, status int, failure *StreamError) {
	body, err := json.Marshal(struct {
		Code    Code            `json:"code"`
		Message string          `json:"message"`
		Details json.RawMessage `json:"details,omitempty"`
	}{failure.Code, failure.Message, failure.Details})
	if err != nil { // the details are not JSON
		writeProblem(w, status, &StreamError{Code: failure.Code, Message: failure.Message})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// negotiate chooses between version 1 and a plain stream (section 6.1). Version 1 is for those that name it.
func negotiate(accept []string, coder string) (framed, acceptable bool) {
	var version1, plain float64
	closest, plainClosest, ranges := -1, -1, 0
	for _, text := range strings.Split(strings.Join(accept, ","), ",") {
		kind, parameters, err := mime.ParseMediaType(text)
		if err != nil {
			continue
		}
		ranges++
		quality := 1.0
		if given, there := parameters["q"]; there {
			if quality, err = strconv.ParseFloat(given, 64); err != nil || !(quality >= 0 && quality <= 1) {
				continue
			}
		}
		version, named := parameters["v"]
		theirs, chosen := parameters["coder"]
		near := 0
		for _, there := range []bool{named, chosen} {
			if there {
				near++
			}
		}
		if kind == MediaType && (!named || version == strconv.Itoa(Version)) && (!chosen || theirs == coder) && near > closest {
			version1, closest = quality, near
		}
		if at := slices.Index([]string{"*/*", "application/*", PlainMediaType}, kind); at > plainClosest {
			plain, plainClosest = quality, at
		}
	}
	if ranges == 0 {
		return false, true
	}
	return version1 > 0 && version1 >= plain, version1 > 0 || plain > 0
}
