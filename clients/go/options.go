package objectstreaming

import (
	"fmt"
	"net/http"
	"time"
)

// Limits of a decoder unless options change them, in bytes (section 2.4).
const (
	DefaultMaxFrame  = 16 << 20
	DefaultMaxHeader = 64 << 10
)

// An option says by its type where it can be used: the compiler refuses, for example, [WithHTTPClient] for a decoder.
type (
	// FrameOption is an option of [NewFrameDecoder] and [ReadFrames].
	FrameOption interface {
		option
		frames()
	}
	// DecoderOption is an option of [NewDecoder] and [NewStreamDecoder].
	DecoderOption interface {
		option
		decoder()
	}
	// EncoderOption is an option of [NewEncoder] and [NewStreamEncoder].
	EncoderOption interface {
		option
		encoder()
	}
	// HandlerOption is an option of [Handler].
	HandlerOption interface {
		option
		handler()
	}
	// ResponseOption is an option of [ReadResponse].
	ResponseOption interface {
		option
		response()
	}
	// RequestOption is an option of [Post], [Do] and [ResumeAt].
	RequestOption interface {
		option
		request()
	}
)

// The options, by the places where they can be used.
type (
	// LimitOption is an option of everything that reads or writes frames.
	LimitOption struct{ change }
	// LayoutOption is an option of what reads frames alone.
	LayoutOption struct{ change }
	// EndOption is an option of what reads a stream.
	EndOption struct{ change }
	// PlainOption is an option of what writes a stream.
	PlainOption struct{ change }
	// TimeoutOption is an option of what reads a response.
	TimeoutOption struct{ change }
	// HeartbeatOption is an option of what answers requests.
	HeartbeatOption struct{ change }
	// ClientOption is an option of what sends a request.
	ClientOption struct{ change }
	// ResumeOption is an option of what may send a second request.
	ResumeOption struct{ change }
)

type option interface{ apply(*options) }

type change func(*options)

func (c change) apply(o *options) { c(o) }

func (LimitOption) frames()      {}
func (LimitOption) decoder()     {}
func (LimitOption) encoder()     {}
func (LimitOption) handler()     {}
func (LimitOption) response()    {}
func (LimitOption) request()     {}
func (LayoutOption) frames()     {}
func (EndOption) decoder()       {}
func (EndOption) response()      {}
func (EndOption) request()       {}
func (PlainOption) encoder()     {}
func (TimeoutOption) response()  {}
func (TimeoutOption) request()   {}
func (ClientOption) request()    {}
func (ResumeOption) request()    {}
func (HeartbeatOption) handler() {}

type options struct {
	maxFrame, maxHeader uint64
	layout              Layout
	end                 endPolicy
	plain               bool
	client              *http.Client
	idleTimeout         time.Duration
	heartbeat           time.Duration
	patience            time.Duration // 0: do not resume
	clock               clock
}

type endPolicy int

const (
	endIfControlled endPolicy = iota
	endRequired
	endOptional
)

func optionsOf[O option](given []O) options {
	made := options{maxFrame: DefaultMaxFrame, maxHeader: DefaultMaxHeader, clock: realClock}
	for _, option := range given {
		option.apply(&made)
	}
	return made
}

// WithMaxFrame limits T, the size of a whole frame in bytes. An [Encoder] refuses a larger frame as a decoder does.
func WithMaxFrame(bytes int) LimitOption {
	return LimitOption{func(o *options) { o.maxFrame = uint64(max(bytes, 0)) }}
}

// WithMaxHeader limits H, the size of a header in bytes.
func WithMaxHeader(bytes int) LimitOption {
	return LimitOption{func(o *options) { o.maxHeader = uint64(max(bytes, 0)) }}
}

// WithLayout sets another layout for [FrameDecoder] and [ReadFrames]. Messages and control frames always have the standard
// layout.
func WithLayout(layout Layout) LayoutOption {
	layout.width() // panics here, and not later in a stream
	return LayoutOption{func(o *options) { o.layout = layout }}
}

// WithRequiredEnd sets whether a stream without an end frame is an error. By default it is one if the stream has a control
// frame, because it is then a stream of version 1. A response with the media type of version 1 always needs an end frame.
func WithRequiredEnd(required bool) EndOption {
	return EndOption{func(o *options) {
		o.end = endOptional
		if required {
			o.end = endRequired
		}
	}}
}

// WithPlain makes an encoder write a plain stream: data frames only. Its end cannot be told from a cut.
func WithPlain() PlainOption { return PlainOption{func(o *options) { o.plain = true }} }

// WithHTTPClient sends requests with another client than [http.DefaultClient]: for example one with another transport, with
// cookies, or without redirects. If it has a Timeout, the timeout limits each response as a whole: a stream that it ends fails
// with a *CancelError, and is not resumed.
func WithHTTPClient(client *http.Client) ClientOption {
	return ClientOption{func(o *options) { o.client = client }}
}

// WithIdleTimeout sets how long to wait for the next byte. The default is three of the heartbeats that the server
// announces, and one minute before it has announced them. It panics if the limit is not positive.
func WithIdleTimeout(limit time.Duration) TimeoutOption {
	mustBePositive("an idle timeout", limit)
	return TimeoutOption{func(o *options) { o.idleTimeout = limit }}
}

// WithResume makes a stream ask for the rest when its connection is cut or silent, if the server keeps the stream (section
// 6.3). It gives up when the stream was out of reach for patience: five minutes are reasonable. It panics if the patience
// is not positive.
func WithResume(patience time.Duration) ResumeOption {
	mustBePositive("a patience", patience)
	return ResumeOption{func(o *options) { o.patience = patience }}
}

// WithHeartbeat sets how often a [Handler] sends a ping. The default is 15 s; proxies cut connections that are silent for 30 s
// or 60 s. It panics if the duration is not positive.
func WithHeartbeat(every time.Duration) HeartbeatOption {
	mustBePositive("a heartbeat", every)
	return HeartbeatOption{func(o *options) { o.heartbeat = every }}
}

// mustBePositive panics: only the program sets an option, never a peer.
func mustBePositive(name string, duration time.Duration) {
	if duration <= 0 {
		panic(fmt.Sprintf("objectstreaming: %s is a positive duration, not %s", name, duration))
	}
}
