package objectstreaming

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Streams over HTTP (section 6). The response decides, before a byte of its body: its status, its media type and its
// parameters are checked. Then nothing that ends early looks like an end: a response of version 1 brings its end frame, and
// a connection that breaks is an error, after every message that was whole. Once the end has come the stream is whole,
// whatever then happens to the connection.
//
// A server of version 1 says in its open frame how often it will be heard: three of these heartbeats without a byte mean
// that it is gone. Only time spent in reading counts, so that a slow consumer is no silence.

const (
	// MediaType is the content type of a stream of version 1; it has the parameters v and coder.
	MediaType = "application/vnd.objectstreaming"
	// PlainMediaType is the content type of a plain stream.
	PlainMediaType = "application/octet-stream"
	// Accept is what a request asks for unless it says otherwise: version 1, or else plain frames.
	Accept = MediaType + ";v=1, " + PlainMediaType + ";q=0.5"
)

const (
	heartbeats     = 3               // one lost to a slow hop, one to a busy server
	firstRead      = time.Minute     // before the open frame: a model that thinks outlasts most timeouts
	longestSilence = time.Hour       // a peer may promise to be heard once a year
	afterEnd       = time.Second     // only the end of the body is missing, and no message depends on it
	beginningTime  = 5 * time.Second // for what is read of a body that is no stream
	problemSize    = 16 << 10
	beginningSize  = 256
)

type httpOptions struct {
	client      *http.Client
	idleTimeout time.Duration
}

// WithHTTPClient sends requests with another client than [http.DefaultClient]: one with another transport, with cookies, or
// which follows no redirects. Its Timeout, if it has one, is for the whole of a stream.
func WithHTTPClient(client *http.Client) Option { return func(o *options) { o.http.client = client } }

// WithIdleTimeout is how much silence is too much. Unless it is given: three of the heartbeats that the server announces,
// and a minute until it has.
func WithIdleTimeout(limit time.Duration) Option {
	return func(o *options) { o.http.idleTimeout = limit }
}

// Stream is the messages of one response, in order, as they arrive. Close it.
type Stream[H, P any] struct {
	*Decoder[H, P]
	// Response is the response, of which the body is the decoder's.
	Response *http.Response
	body     *body
}

// Close closes the connection, wherever the reading stands.
func (s *Stream[H, P]) Close() error { return s.body.close() }

// Post sends a question as JSON, and returns the messages of the answer; see [Do].
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

// Do sends a request, and returns the messages of the answer. Its headers are completed with Accept and Accept-Encoding where
// they have none. The options are [WithHTTPClient], [WithIdleTimeout], and those of [NewDecoder].
//
// The error is a *ResponseError for a status that is not 2xx, a *ContentTypeError for a response that is no stream of this
// coder's frames, an *IncompleteError, CodeIdleTimeout, if none came in time, or the client's where none came at all.
// Reading from the stream returns what [Decoder.Next] does, also CodeIdleTimeout; where the request's context ended, the
// error wraps the context's. Nothing is ever sent again by itself: a POST that was answered once would be answered twice.
func Do[H, P any](request *http.Request, coder Coder[H, P], opts ...Option) (*Stream[H, P], error) {
	made := optionsOf(opts)
	body, response, err := send(request, made.http)
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
		case made.http.idleTimeout > 0:
			return made.http.idleTimeout
		case heartbeat > 0:
			return heartbeats * min(heartbeat, longestSilence/heartbeats)
		default:
			return firstRead
		}
	}
	return stream, nil
}

// body reads a response's body, no read of it longer than limit.
type body struct {
	reader io.Reader
	closer io.Closer
	caller context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  func() time.Duration
}

func send(request *http.Request, chosen httpOptions) (*body, *http.Response, error) {
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
			err = &IncompleteError{Code: CodeIdleTimeout, Message: fmt.Sprintf("no response came for %v", limit)}
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
		// Compression holds frames back until a block is full, and makes sound larger.
		request.Header.Set("Accept-Encoding", "identity")
	}
	return request
}

// Read says with errIdle that it took too long, and with the caller's cause that its context has ended.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.limit())
	n, err := b.reader.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF {
		switch {
		case b.caller.Err() != nil:
			err = context.Cause(b.caller)
		case context.Cause(b.ctx) == errIdle:
			err = errIdle
		}
	}
	return n, err
}

func (b *body) close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.closer.Close()
}

// beginning is the first bytes, as many as come without much ado.
func (b *body) beginning(size int64) []byte {
	latest := time.Now().Add(beginningTime)
	b.limit = func() time.Duration { return time.Until(latest) }
	read, _ := io.ReadAll(io.LimitReader(b, size))
	return read
}

// unzipped undoes gzip, which we do not ask for, and begins with that only when it is read.
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

// mediaType is the content type of a response, and its parameters (RFC 9110, section 8.3.1).
func mediaType(response *http.Response) (kind string, parameters map[string]string) {
	given := response.Header.Get("Content-Type")
	kind, parameters, err := mime.ParseMediaType(given)
	if err != nil { // of a type that is malformed, its name will do for the message
		kind, _, _ = strings.Cut(given, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	return kind, parameters
}

// refusal is why the response is no stream that can be read; nil if it is one.
func refusal(response *http.Response, body *body, coder string) error {
	if response.StatusCode/100 != 2 {
		return problem(response, body.beginning(problemSize))
	}
	kind, parameters := mediaType(response)
	var why string
	theirs, named := parameters["coder"]
	encoding := strings.ToLower(response.Header.Get("Content-Encoding"))
	switch {
	case kind == "":
		why = "the response has no Content-Type"
	case kind != MediaType && kind != PlainMediaType:
		why = fmt.Sprintf("the content type is %.80q", kind)
	case kind == MediaType && parameters["v"] != strconv.Itoa(Version):
		why = fmt.Sprintf("the stream is of version %.40q, this reader knows %d", parameters["v"], Version)
	case named && theirs != coder:
		why = fmt.Sprintf("the stream's coder is %.40q, this reader's %q", theirs, coder)
	case encoding != "" && encoding != "identity" && encoding != "gzip":
		why = fmt.Sprintf("its Content-Encoding is %.40q, which is not read here", encoding)
	default:
		return nil
	}
	beginning := body.beginning(beginningSize)
	begins := "the body is empty"
	if len(beginning) > 0 {
		begins = fmt.Sprintf("the body begins %q", excerpt(beginning))
	}
	return &ContentTypeError{
		ContentType: response.Header.Get("Content-Type"),
		Beginning:   beginning,
		Message:     fmt.Sprintf("%s; wanted is %s;v=%d or %s; %s", why, MediaType, Version, PlainMediaType, begins),
	}
}

func excerpt(text []byte) string {
	const size = 80
	line := strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "\ufffd")), " ")
	if len(line) > size {
		line = strings.ToValidUTF8(line[:size], "")
	}
	return line
}

var codeForStatus = map[int]Code{
	400: CodeInvalidArgument, 401: CodeUnauthenticated, 403: CodePermissionDenied, 404: CodeNotFound,
	408: CodeDeadlineExceeded, 409: CodeAborted, 413: CodeResourceExhausted, 415: CodeInvalidArgument,
	422: CodeInvalidArgument, 429: CodeResourceExhausted, 499: CodeCanceled, 500: CodeInternal,
	501: CodeUnimplemented, 502: CodeUnavailable, 503: CodeUnavailable, 504: CodeDeadlineExceeded,
}

// problem is what a response that is not 2xx says: our own members, FastAPI's detail, RFC 9457's title, or its text.
func problem(response *http.Response, text []byte) *ResponseError {
	failure := &ResponseError{Status: response.StatusCode, Body: text}
	var said members
	switch err := unmarshal(text, &said); {
	case err != nil && json.Valid(text): // another JSON value says nothing we know
	case err != nil:
		failure.Message = excerpt(text)
	}
	detail := said["detail"]
	if object := asMembers(detail); object != nil {
		said = object
		detail = said["detail"]
	}
	code, _ := asString(said["code"])
	if failure.Code = Code(code); failure.Code.HTTPStatus() == 0 {
		if failure.Code = codeForStatus[response.StatusCode]; failure.Code == "" {
			failure.Code = CodeUnknown
		}
	}
	for _, name := range []string{"message", "detail", "title"} {
		if message, ok := asString(said[name]); ok {
			failure.Message = message
			break
		}
	}
	if details := said["details"]; string(details) != "null" {
		failure.Details = details
	}
	if failure.Details == nil && bytes.HasPrefix(detail, []byte("[")) {
		failure.Details = detail // what FastAPI found wrong with the request, an object each
		if failure.Message == "" {
			failure.Message = complaint(detail)
		}
	}
	if failure.Message == "" {
		failure.Message = http.StatusText(response.StatusCode)
	}
	return failure
}

// complaint is the first of what FastAPI found wrong with a request, in a line.
func complaint(detail json.RawMessage) string {
	var found []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	if err := unmarshal(detail, &found); err != nil || len(found) == 0 {
		return ""
	}
	place := make([]string, len(found[0].Loc))
	for i, name := range found[0].Loc {
		place[i] = fmt.Sprint(name)
	}
	return strings.Join(place, ".") + ": " + found[0].Msg
}
