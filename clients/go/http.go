package objectstreaming

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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

// Stream is the messages of one response, in order, as they arrive. The caller must close it.
type Stream[H, P any] struct {
	*Decoder[H, P]
	// Response is the response. Only the decoder reads its body.
	Response *http.Response
	body     *body
}

// Close closes the connection, also before the end of the stream.
func (s *Stream[H, P]) Close() error { return s.body.close() }

// Post sends a question as JSON, and returns the messages of the answer. See [Do].
func Post[H, P any](ctx context.Context, url string, question any, coder Coder[H, P], opts ...Option) (*Stream[H, P], error) {
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
// missing. The options are [WithHTTPClient], [WithIdleTimeout], and those of [NewDecoder].
//
// The error is a *ResponseError for a status that is not 2xx, a *ContentTypeError for a response that is not a stream of this
// coder, an *IncompleteError with CodeIdleTimeout if no response arrived in time, or the error of the client if there was no
// response. Reading from the stream returns the errors of [Decoder.Next], CodeIdleTimeout among them. If the context of the
// request has ended, the error wraps the one of the context. A request is never sent again: a second POST would start a
// second stream.
func Do[H, P any](request *http.Request, coder Coder[H, P], opts ...Option) (*Stream[H, P], error) {
	made := optionsOf(opts)
	body, response, err := send(request, made)
	if err != nil {
		return nil, err
	}
	if err := refusal(response, body, coder.Name()); err != nil {
		_ = body.close()
		return nil, err
	}
	if kind, _ := mediaType(response); kind == MediaType && made.end == endIfControlled {
		opts = append(opts[:len(opts):len(opts)], WithRequiredEnd(true))
	}
	stream := &Stream[H, P]{Response: response, body: body}
	stream.Decoder = NewDecoder(body, coder, opts...)
	body.limit = func() time.Duration {
		switch heartbeat := stream.Heartbeat(); {
		case stream.Ended():
			return afterEnd
		case made.idleTimeout > 0:
			return made.idleTimeout
		case heartbeat > 0:
			return heartbeats * min(heartbeat, longestSilence/heartbeats)
		default:
			return firstRead
		}
	}
	return stream, nil
}

// body reads the body of a response. No read takes longer than limit.
type body struct {
	reader io.Reader
	closer io.Closer
	caller context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  func() time.Duration
}

// errIdle is the cause with which a request is cancelled that has waited too long.
var errIdle = errors.New("idle for too long")

func send(request *http.Request, chosen options) (*body, *http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	limit := firstRead
	if chosen.idleTimeout > 0 {
		limit = chosen.idleTimeout
	}
	made := &body{caller: request.Context(), ctx: ctx, cancel: cancel, limit: func() time.Duration { return limit }}
	made.timer = time.AfterFunc(limit, func() { cancel(errIdle) })
	client := chosen.client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(completed(request, ctx))
	made.timer.Stop()
	if err != nil {
		idle := context.Cause(ctx) == errIdle
		cancel(nil)
		if idle {
			err = &IncompleteError{Code: CodeIdleTimeout, Message: fmt.Sprintf("no response arrived for %g s", limit.Seconds())}
		}
		return nil, nil, err
	}
	made.reader, made.closer = response.Body, response.Body
	if strings.EqualFold(response.Header.Get("Content-Encoding"), "gzip") {
		made.reader = &unzipped{body: response.Body}
	}
	return made, response, nil
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

// Read returns an *idleError if it took too long, and the cause of the caller's context if that has ended.
func (b *body) Read(p []byte) (int, error) {
	limit := b.limit()
	b.timer.Reset(limit)
	n, err := b.reader.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF {
		switch {
		case b.caller.Err() != nil:
			err = context.Cause(b.caller)
		case context.Cause(b.ctx) == errIdle:
			err = &idleError{limit}
		}
	}
	return n, err
}

func (b *body) close() error {
	b.timer.Stop()
	b.cancel(nil)
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
