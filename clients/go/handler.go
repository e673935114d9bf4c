package objectstreaming

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Responder writes the stream of one response, for [Handler].
type Responder[H, P any] struct {
	writer   http.ResponseWriter
	request  *http.Request
	encoder  *Encoder[H, P]
	plain    bool
	name     string
	trailers any
	mutex    sync.Mutex // of the writer, and of what follows
	opening  []byte     // the open frame, until the first message goes out
	opened   bool
	started  bool // the status was sent
}

// Send sends a message, at once. The first one sends the status 200 too. If the client has left, the error is a *CancelError,
// and the answer should return it.
func (r *Responder[H, P]) Send(header H, payload P) error {
	if r.request.Context().Err() != nil {
		return &CancelError{Position: r.encoder.Position(), Err: reason(r.request.Context())}
	}
	return r.flushed(func() error { return r.encoder.Encode(header, payload) })
}

// SetTrailers sets the JSON object that goes out with the end: a struct or a map.
func (r *Responder[H, P]) SetTrailers(trailers any) { r.trailers = trailers }

// flushed writes something, and what must stand before it.
func (r *Responder[H, P]) flushed(write func() error) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if err := write(); err != nil {
		return err
	}
	return http.NewResponseController(r.writer).Flush()
}

// Write is for the encoder. The open frame is kept and goes out with the first message, and the status too: until then an
// error has a status of its own, and a message that cannot be encoded changes nothing.
func (r *Responder[H, P]) Write(wire []byte) (int, error) {
	if !r.opened {
		r.opened, r.opening = true, slices.Clone(wire)
		return len(wire), nil
	}
	if !r.started {
		r.started = true
		header := r.writer.Header()
		header.Set("Content-Type", PlainMediaType)
		if !r.plain {
			header.Set("Content-Type", fmt.Sprintf("%s;v=%d;coder=%s", MediaType, Version, r.name))
		}
		header.Set("Cache-Control", "no-store, no-transform")
		header.Set("X-Accel-Buffering", "no") // nginx passes on what it gets at once
		r.writer.WriteHeader(http.StatusOK)
		if _, err := r.writer.Write(r.opening); err != nil {
			return 0, err
		}
	}
	return r.writer.Write(wire)
}

// Handler answers requests with streams, as the Python server does. answer sends the messages, and returns when there are no
// more; it must return when the context of the request has ended, because then the client has left.
//
// Clients that ask for version 1 get it, with a ping every 15 s ([WithHeartbeat]), and an end. Others get a plain stream.
// Clients that accept neither get 406. The status waits for the first message: if answer returns an error before it, the
// client gets the status of that error and a JSON problem. After the first message an error goes out with the end, and a
// plain stream is aborted, so that it does not look whole. A [StreamError] is sent as it is. What any other error says is
// logged with [slog.Default], and the client learns "internal" only.
func Handler[H, P any](
	coder Coder[H, P], answer func(*Responder[H, P], *http.Request) error, opts ...HandlerOption,
) http.Handler {
	chosen := optionsOf(opts)
	if chosen.heartbeat == 0 {
		chosen.heartbeat = 15 * time.Second
	}
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Add("Vary", "Accept")
		framed, acceptable := negotiate(request.Header.Values("Accept"), coder.Name())
		if !acceptable {
			writeProblem(w, http.StatusNotAcceptable, &StreamError{Code: CodeInvalidArgument, Message: fmt.Sprintf(
				"this endpoint answers with %s;v=%d;coder=%s or %s; Accept names neither", MediaType, Version, coder.Name(),
				PlainMediaType)})
			return
		}
		r := &Responder[H, P]{writer: w, request: request, name: coder.Name(), plain: !framed, opened: !framed}
		chosen := chosen
		chosen.plain = r.plain
		r.encoder = &Encoder[H, P]{writer: r, stream: &StreamEncoder[H, P]{options: chosen, coder: coder}}
		if framed {
			_ = r.encoder.Open(Open{Heartbeat: chosen.heartbeat}) // is kept, and cannot fail
		}
		stop := r.ping(chosen.heartbeat)
		defer stop() // answer may panic
		err := answer(r, request)
		stop()
		r.finish(err)
	})
}

// ping sends pings until the function that it returns is called.
func (r *Responder[H, P]) ping(heartbeat time.Duration) (stop func()) {
	if r.plain {
		return func() {}
	}
	ctx, cancel := context.WithCancel(r.request.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if r.flushed(r.encoder.Ping) != nil {
					return
				}
			}
		}
	}()
	return func() { cancel(); <-over }
}

func (r *Responder[H, P]) finish(err error) {
	if err == nil {
		end := func() error { return r.encoder.End(r.trailers) }
		if r.plain {
			end = func() error { _, err := r.Write(nil); return err }
		}
		if err = r.flushed(end); err == nil {
			return
		}
	}
	if r.request.Context().Err() != nil { // nobody reads
		panic(http.ErrAbortHandler)
	}
	failure := published(err, r.request)
	switch {
	case !r.started:
		writeProblem(r.writer, failure.Code.HTTPStatus(), failure)
	case r.plain || r.flushed(func() error { return r.encoder.Fail(failure) }) != nil:
		panic(http.ErrAbortHandler) // the connection breaks: the client must not take this for the end
	}
}

// published is what the client may know of an error.
func published(err error, request *http.Request) *StreamError {
	var own *StreamError
	if errors.As(err, &own) && own.Code.HTTPStatus() != 0 {
		return own
	}
	slog.ErrorContext(request.Context(), "a stream failed", "path", request.URL.Path, "error", err)
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
