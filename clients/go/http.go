package objectstreaming

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Streams over HTTP (section 6). The status, the media type and its parameters are checked before the body is read. A cut is
// never taken for an end: a response of version 1 must have its end frame, and a connection that breaks is an error, which
// comes after all whole messages. After the end frame the stream is whole, whatever happens to the connection.
//
// A server of version 1 announces a heartbeat in its open frame. If no byte arrives during three heartbeats, the read fails.
// Only the time spent in reading counts, so a slow consumer causes no timeout.

const (
	// MediaType is the content type of a stream of version 1. Its parameters are v and coder.
	MediaType = "application/vnd.objectstreaming"
	// PlainMediaType is the content type of a plain stream.
	PlainMediaType = "application/octet-stream"
	// Accept is the default Accept header: version 1 is preferred, a plain stream is accepted.
	Accept = MediaType + ";v=1, " + PlainMediaType + ";q=0.5"
)

const (
	heartbeats     = 3               // one may be lost on a slow network, one to a busy server
	firstRead      = time.Minute     // before the open frame; long, because a model may need time for its first word
	longestSilence = time.Hour       // the upper bound, whatever heartbeat the server announces
	afterEnd       = time.Second     // only the end of the body is missing, and no message depends on it
	beginningTime  = 5 * time.Second // for the beginning of a body that is not a stream
)

// Stream is the messages of one response, in order, as they arrive. With [WithResume] it is those of one stream, over as
// many responses as it takes. The caller must close it.
type Stream[H, P any] struct {
	// Decoder is that of the current response.
	*Decoder[H, P]
	// Response is the current response. Only the decoder reads its body.
	Response *http.Response

	coder      Coder[H, P]
	asked      *http.Request // the first request; nil if the response does not know it
	chosen     options
	leave      context.CancelCauseFunc // ends the requests of a stream that resumes
	resumption *resumption             // nil for one response
	looked     bool                    // at the place of this response
	broken     bool                    // this response was cut: ask for the rest
	failure    error                   // that ended the reading of a stream that resumes

	mutex sync.Mutex // guards what follows
	body  *body
	place Place // its position is that of the beginning
}

// newStream returns a stream without a response.
func newStream[H, P any](request *http.Request, coder Coder[H, P], chosen options) *Stream[H, P] {
	s := &Stream[H, P]{coder: coder, asked: request, chosen: chosen, leave: func(error) {}}
	if chosen.patience > 0 {
		s.resumption = &resumption{clock: chosen.clock, patience: chosen.patience}
		ctx, leave := context.WithCancelCause(request.Context())
		s.asked, s.leave = request.WithContext(ctx), leave
	}
	return s
}

// Close closes the connection, also before the end of the stream. Another goroutine may call it: a Next that waits, for a
// byte or to try again, then returns a *CancelError.
func (s *Stream[H, P]) Close() error {
	s.leave(errClosed)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.body.close()
}

// All ranges over the messages that were not read yet, as [Decoder.All] does.
func (s *Stream[H, P]) All() iter.Seq2[Message[H, P], error] { return all(s.Next) }

// Post sends a question as JSON, and returns the messages of the answer. See [Do].
func Post[H, P any](ctx context.Context, url string, question any, coder Coder[H, P], opts ...RequestOption) (*Stream[H, P], error) {
	text, err := marshalJSON(question)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return Do(request, coder, opts...)
}

// Do sends a request, and returns the messages of the answer. It adds the headers Accept and Accept-Encoding if they are
// missing.
//
// The error is a *ResponseError for a status that is not 2xx, a *ContentTypeError for a response that is not a stream of this
// coder, an *IncompleteError with CodeIdleTimeout if no response arrived in time, a *CancelError if the context of the request
// has ended, or the error of the client if there was no response. Reading from the stream returns the errors of
// [Stream.Next], CodeIdleTimeout and *CancelError among them. A request is never sent again, unless net/http itself knows
// that the server has not processed it: a second POST would start a second stream. With [WithResume] the rest of a stream
// that was cut is asked for with GET.
func Do[H, P any](request *http.Request, coder Coder[H, P], opts ...RequestOption) (*Stream[H, P], error) {
	s := newStream(request, coder, optionsOf(opts))
	response, cancel, err := send(s.asked, s.chosen)
	if err == nil {
		err = s.read(response, cancel, false)
	}
	if err != nil {
		s.leave(errClosed)
		return nil, err
	}
	return s, nil
}

// ReadResponse returns the messages of a response that another client has received, and makes the same checks as [Do]. If the
// response knows its request, the context of the request counts. The stream closes the body; if there is an error, the body is
// closed already.
func ReadResponse[H, P any](response *http.Response, coder Coder[H, P], opts ...ResponseOption) (*Stream[H, P], error) {
	first := response.Request
	for first != nil && first.Response != nil { // a redirect
		first = first.Response.Request
	}
	s := newStream(first, coder, optionsOf(opts))
	if err := s.read(response, func() {}, false); err != nil {
		return nil, err
	}
	return s, nil
}

// read makes a response the current one, if it is a stream of the coder, or the rest of one. Otherwise it closes the body.
func (s *Stream[H, P]) read(response *http.Response, cancel func(), rest bool) error {
	chosen := s.chosen
	ctx := context.Background()
	if s.asked != nil {
		ctx = s.asked.Context()
	}
	body := newBody(response, ctx, cancel)
	if err := refusal(response, body, s.coder.Name(), rest); err != nil {
		_ = body.close()
		if ctx.Err() != nil { // while the beginning of the body was read
			return &CancelError{Err: reason(ctx)}
		}
		return err
	}
	if kind, _ := mediaType(response); kind == MediaType && chosen.end == endIfControlled {
		chosen.end = endRequired
	}
	decoder := newDecoder(body, s.coder, chosen)
	body.limit = func() time.Duration {
		switch heartbeat := decoder.Heartbeat(); {
		case decoder.Ended():
			return afterEnd
		case chosen.idleTimeout > 0:
			return chosen.idleTimeout
		case heartbeat > 0:
			return heartbeats * min(heartbeat, longestSilence/heartbeats)
		default:
			return firstRead
		}
	}
	s.Decoder, s.Response, s.looked, s.broken = decoder, response, false, false
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.body = body; s.resumption != nil {
		s.resumption.opened = s.resumption.now()
		if ctx.Err() != nil { // closed meanwhile, so nobody else closes this body
			_ = body.close()
		}
	}
	return nil
}

// body reads the body of a response. No read takes longer than limit.
type body struct {
	reader io.Reader
	closer io.Closer
	caller context.Context
	cancel func() // of the request
	timer  *time.Timer
	limit  func() time.Duration
	idle   atomic.Bool // a read has waited too long
	closed atomic.Bool // by the caller
}

func newBody(response *http.Response, caller context.Context, cancel func()) *body {
	b := &body{reader: response.Body, closer: response.Body, caller: caller, cancel: cancel}
	b.timer = time.AfterFunc(longestSilence, b.expire)
	b.timer.Stop()
	if codings(response) == "gzip" {
		b.reader = &unzipped{body: response.Body}
	}
	return b
}

// errClosed is the cause with which the requests of a stream that was closed are cancelled.
var errClosed = errors.New("closed")

// errIdle is the cause with which a request is cancelled that has waited too long for its response.
var errIdle = errors.New("idle for too long")

// send returns the response, and the function that ends its request.
func send(request *http.Request, chosen options) (*http.Response, func(), error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	limit := firstRead
	if chosen.idleTimeout > 0 {
		limit = chosen.idleTimeout
	}
	timer := time.AfterFunc(limit, func() { cancel(errIdle) })
	client := chosen.client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(completed(request, ctx))
	timer.Stop()
	if err == nil {
		return response, func() { cancel(nil) }, nil
	}
	switch {
	case request.Context().Err() != nil:
		err = &CancelError{Err: reason(request.Context())}
	case context.Cause(ctx) == errIdle:
		err = &IncompleteError{Code: CodeIdleTimeout, Message: fmt.Sprintf("no response arrived for %g s", limit.Seconds())}
	}
	cancel(nil)
	return nil, nil, err
}

// reason is the error of a context that has ended, and its cause.
func reason(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == errClosed {
		return net.ErrClosed
	}
	switch {
	case CodeOf(cause) != "" || errors.Is(cause, io.ErrUnexpectedEOF): // of another stream, in a group
		return fmt.Errorf("%w: %v", err, cause)
	case errors.Is(cause, err):
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func completed(request *http.Request, ctx context.Context) *http.Request {
	request = request.Clone(ctx)
	if request.Header == nil {
		request.Header = http.Header{}
	}
	if request.Header.Get("Accept") == "" {
		request.Header.Set("Accept", Accept)
	}
	if request.Header.Get("Accept-Encoding") == "" {
		// Compression holds frames back until a block is full, and makes audio larger.
		request.Header.Set("Accept-Encoding", "identity")
	}
	return request
}

// Read returns an *idleError if it took too long, and a *CancelError if the caller has closed the body or ended its context,
// or the Timeout of its client is over.
func (b *body) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, b.left()
	}
	limit := b.limit()
	b.timer.Reset(limit)
	n, err := b.reader.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF {
		switch {
		case b.closed.Load() || b.caller.Err() != nil:
			err = b.left()
		case b.idle.Load():
			err = &idleError{limit}
		case errors.Is(err, context.DeadlineExceeded): // the Timeout of the client, which the caller has set
			err = &CancelError{Err: err}
		}
	}
	return n, err
}

// left is the error of a body that the caller has left. A context that has ended comes first: this package closes the body for it.
func (b *body) left() error {
	if b.caller.Err() != nil {
		return &CancelError{Err: reason(b.caller)}
	}
	return &CancelError{Err: net.ErrClosed}
}

// expire ends a read that waits.
func (b *body) expire() {
	b.idle.Store(true)
	b.cancel()
	_ = b.closer.Close()
}

func (b *body) close() error {
	b.closed.Store(true)
	b.timer.Stop()
	b.cancel()
	return b.closer.Close()
}

// beginning is the first bytes, as many as arrive in time.
func (b *body) beginning(size int64) []byte {
	latest := time.Now().Add(beginningTime)
	b.limit = func() time.Duration { return time.Until(latest) }
	read, _ := io.ReadAll(io.LimitReader(b, size))
	return read
}

// unzipped decompresses gzip, which this package does not ask for. It starts with the first read.
type unzipped struct {
	body io.Reader
	zip  *gzip.Reader
}

func (u *unzipped) Read(p []byte) (n int, err error) {
	if u.zip == nil {
		if u.zip, err = gzip.NewReader(u.body); err != nil {
			if u.zip = nil; err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
	return u.zip.Read(p)
}
