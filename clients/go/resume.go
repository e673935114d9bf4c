package objectstreaming

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Resuming (section 6.3). The open frame of a stored stream says where it can be picked up. When the connection breaks or is
// silent, the rest is asked for there, with GET and the number of data frames received. The request that began the stream is
// never sent again: it may have started something.
//
// It is tried again after a cut, silence, an error of the transport, and the answers 429, 502, 503 and 504. The store behind
// the server may just be given again what it had lost, so after data 404 and out_of_range are tried again too, for ten
// seconds from the first of them. Everything else is final, the end of the stream first of all. Between attempts passes the time that Retry-After
// says, or a random time that grows with each failure in a row: many clients that were cut together do not come back
// together.

const (
	// DefaultPatience is how long [ResumeAt] tries to reach a stream, unless [WithResume] says something else.
	DefaultPatience = 5 * time.Minute

	firstWait    = 250 * time.Millisecond
	longestWait  = 10 * time.Second
	lostTime     = 10 * time.Second
	worksTime    = 15 * time.Second // a response that lasted for so long was no failure, even if it had no data frame
	mostDoubling = 10
)

// Place is where a reader is in a stored stream: a URL, and how many data frames it has had. It can be written as JSON, and
// opened after a restart with [ResumeAt].
type Place struct {
	URL      string `json:"url"`
	Position int64  `json:"position"`
}

// ResumeAt returns the messages of a stored stream that come after a place. The header, which may be nil, is sent with every
// request: what authorizes the reader, for example. If the server cannot be reached, or says that it is busy, ResumeAt tries
// again, as a stream that was opened with [WithResume] does. The errors are those of [Do].
func ResumeAt[H, P any](
	ctx context.Context, place Place, header http.Header, coder Coder[H, P], opts ...RequestOption,
) (*Stream[H, P], error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place.URL, nil)
	if err != nil {
		return nil, err
	}
	if u := request.URL; u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || place.Position < 0 {
		return nil, fmt.Errorf("objectstreaming: a place is an http URL and a position of 0 or more, not %.200q and %d",
			place.URL, place.Position)
	}
	if header != nil {
		request.Header = header.Clone()
	}
	made := optionsOf(opts)
	if made.patience == 0 {
		made.patience = DefaultPatience
	}
	s := newStream(request, coder, made)
	s.place = place
	s.resumption.position = place.Position
	for {
		err := s.reopen()
		if err == nil {
			return s, nil
		}
		if err = s.waitAfter(err); err != nil {
			s.leave(errClosed)
			return nil, err
		}
	}
}

// Next returns the next message, as [Decoder.Next] does. A stream that was opened with [WithResume] asks for the rest of a
// stream that was cut. The error is then the last one that could not be passed over, or a *StreamError with CodeDataLoss if
// the server goes on somewhere else. Every message is returned once.
func (s *Stream[H, P]) Next() (Message[H, P], error) {
	if s.resumption == nil {
		message, err := s.Decoder.Next()
		s.look()
		return message, err
	}
	for s.failure == nil {
		message, isNew, err := s.next()
		switch {
		case isNew:
			return message, err
		case err != nil:
			s.failure = s.waitAfter(err)
		}
	}
	return Message[H, P]{}, s.failure
}

// next reads one message of a response. A message that was delivered before is not new, nor is an error that ends the
// reading of the response.
func (s *Stream[H, P]) next() (message Message[H, P], isNew bool, err error) {
	if s.broken {
		if err := s.reopen(); err != nil {
			return message, false, err
		}
	}
	message, err = s.Decoder.Next()
	s.look()
	var refused *PayloadError
	switch {
	case err == nil || errors.As(err, &refused):
		var lost error
		if isNew, lost = s.resumption.take(s.Decoder.Position()); !isNew {
			err = lost
		}
	case err == io.EOF:
		if at := s.Decoder.Position(); at != s.resumption.position {
			err = s.resumption.lost(at)
		}
	}
	return message, isNew, err
}

// reopen asks for the rest of the stream.
func (s *Stream[H, P]) reopen() error {
	request, err := s.again(s.asked.Context(), http.MethodGet, s.place.URL)
	if err != nil {
		return err
	}
	request.Header.Set("Last-Event-ID", strconv.FormatInt(s.resumption.position, 10))
	response, cancel, err := send(request, s.chosen)
	if err != nil {
		return err
	}
	return s.read(response, cancel, true)
}

// again is the first request without its body, with another method and URL.
func (s *Stream[H, P]) again(ctx context.Context, method, place string) (*http.Request, error) {
	target, err := url.Parse(place)
	if err != nil {
		return nil, err
	}
	request := s.asked.Clone(ctx)
	request.Method, request.URL = method, target
	request.Body, request.GetBody, request.ContentLength = nil, nil, 0
	request.TransferEncoding, request.Trailer = nil, nil
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Last-Event-ID"} {
		request.Header.Del(name)
	}
	return request, nil
}

// waitAfter returns nil after the time to wait, if the stream is to be asked for again. Otherwise it returns the error.
func (s *Stream[H, P]) waitAfter(err error) error {
	wait, again := s.resumption.waitAfter(err, s.place.URL != "")
	if again {
		s.broken = true
		if s.body != nil {
			_ = s.body.close()
		}
		s.resumption.pause(s.asked.Context(), wait)
		if s.asked.Context().Err() == nil {
			return nil
		}
		err = &CancelError{Err: reason(s.asked.Context())}
	}
	switch failure := err.(type) {
	case *CancelError:
		failure.Position = s.resumption.position
	case *IncompleteError:
		failure.Position = s.resumption.position
	}
	return err
}

// look takes the place that the current response has told, if it has. A URL of another origin than that of the request is
// passed over, also where a redirect has led there: the credentials of the caller would go there.
func (s *Stream[H, P]) look() {
	if s.looked || s.Decoder.Resume() == "" {
		return
	}
	s.looked = true
	if s.Response.Request == nil || s.asked == nil {
		return
	}
	here := s.Response.Request.URL
	target, err := here.Parse(s.Decoder.Resume())
	if err != nil || origin(target) != origin(here) || origin(here) != origin(s.asked.URL) {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.place.URL = target.String()
}

func origin(u *url.URL) [3]string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return [3]string{u.Scheme, strings.ToLower(u.Hostname()), port}
}

// Place is where to go on after a restart: see [ResumeAt]. ok is false if the server has not said that the stream can be
// resumed; it says so before the first message. It is for the goroutine that reads.
func (s *Stream[H, P]) Place() (place Place, ok bool) {
	s.look()
	return Place{s.place.URL, s.Position()}, s.place.URL != ""
}

// Position is the number of data frames of the stream that were received: the position to resume from.
func (s *Stream[H, P]) Position() int64 {
	if s.resumption == nil {
		return s.Decoder.Position()
	}
	return s.resumption.position
}

// Stop ends the stream at the server, for everybody: the readers get an end with CodeCanceled. [Stream.Close] only leaves a
// stored stream, which goes on. Another goroutine may call Stop. The error is a *ResponseError if the server refuses.
func (s *Stream[H, P]) Stop(ctx context.Context) error {
	s.mutex.Lock()
	place := s.place.URL
	s.mutex.Unlock()
	if place == "" {
		return errors.New("objectstreaming: the server has not said that the stream goes on alone: close it instead")
	}
	request, err := s.again(ctx, http.MethodDelete, place)
	if err != nil {
		return err
	}
	response, cancel, err := send(request, s.chosen)
	if err != nil {
		return err
	}
	answer := newBody(response, ctx, cancel)
	defer func() { _ = answer.close() }()
	if response.StatusCode/100 != 2 {
		return problem(response, answer.beginning(problemSize))
	}
	return nil
}

// resumption knows which messages are new, and whether and when to try again. It does no input or output.
type resumption struct {
	clock
	patience time.Duration
	position int64
	failures int       // in a row
	trouble  time.Time // since when; the zero time if there is none
	missing  time.Time // since when the server does not find the stream, or not so much of it
	opened   time.Time // when the response that is read began; the zero time if there is none
	hasData  bool
}

// clock is replaced in tests.
type clock struct {
	now    func() time.Time
	jitter func(longest time.Duration) time.Duration
	pause  func(ctx context.Context, wait time.Duration)
}

var realClock = clock{now: time.Now, jitter: rand.N[time.Duration], pause: pause}

func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take reports whether the message at a position was not delivered yet. It counts from then on.
func (r *resumption) take(position int64) (isNew bool, err error) {
	if position <= r.position {
		return false, nil
	}
	if position > r.position+1 {
		return false, r.lost(position - 1)
	}
	r.position = position
	r.failures, r.trouble, r.missing, r.hasData = 0, time.Time{}, time.Time{}, true
	return true, nil
}

func (r *resumption) lost(position int64) error {
	return &StreamError{Code: CodeDataLoss, fromPeer: true, Message: fmt.Sprintf(
		"%d data frames have arrived, and the server goes on after %d", r.position, position)}
}

func (r *resumption) waitAfter(err error, known bool) (wait time.Duration, again bool) {
	now := r.now()
	if r.trouble.IsZero() || !r.opened.IsZero() && now.Sub(r.opened) > worksTime {
		r.trouble, r.failures = now, 0
	}
	r.opened = time.Time{}
	trouble := now.Sub(r.trouble)
	if !known || !r.mayPass(err, now) {
		return 0, false
	}
	wait = -1
	var response *ResponseError
	if errors.As(err, &response) {
		if asked, ok := response.RetryAfter(); ok {
			wait = asked
		}
	}
	if wait < 0 {
		wait = r.jitter(min(firstWait<<min(r.failures, mostDoubling), longestWait))
	}
	r.failures++
	return wait, wait <= r.patience-trouble // not the sum: a date may be 292 years away
}

func (r *resumption) mayPass(err error, now time.Time) bool {
	var transport *url.Error
	switch failure := err.(type) {
	case *CancelError:
		return false
	case *ResponseError:
		switch failure.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		missing := failure.Status == http.StatusNotFound || failure.Status == http.StatusBadRequest && failure.Code == CodeOutOfRange
		if missing && r.missing.IsZero() {
			r.missing = now
		}
		return missing && r.hasData && now.Sub(r.missing) < lostTime
	case *IncompleteError:
		return true
	case *FrameError:
		return failure.Code == CodeTruncatedFrame
	}
	return errors.As(err, &transport)
}
