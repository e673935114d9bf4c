package objectstreaming

import (
	"net/http"
	"time"
)

// Limits of a decoder unless options change them, in bytes (section 2.4).
const (
	DefaultMaxFrame  = 16 << 20
	DefaultMaxHeader = 64 << 10
)

// Option changes a default of a decoder, an encoder or a request.
type Option func(*options)

type options struct {
	maxFrame, maxHeader uint64
	layout              Layout
	end                 endPolicy
	plain               bool
	client              *http.Client
	idleTimeout         time.Duration
}

type endPolicy int

const (
	endIfControlled endPolicy = iota
	endRequired
	endOptional
)

func optionsOf(given []Option) options {
	made := options{maxFrame: DefaultMaxFrame, maxHeader: DefaultMaxHeader}
	for _, option := range given {
		option(&made)
	}
	return made
}

// WithMaxFrame limits T, the size of a whole frame in bytes. An [Encoder] refuses a larger frame as a decoder does.
func WithMaxFrame(bytes int) Option { return func(o *options) { o.maxFrame = uint64(max(bytes, 0)) } }

// WithMaxHeader limits H, the size of a header in bytes.
func WithMaxHeader(bytes int) Option { return func(o *options) { o.maxHeader = uint64(max(bytes, 0)) } }

// WithLayout sets another layout. Only [FrameDecoder] and [ReadFrames] use it. Messages and control frames always have the
// standard layout.
func WithLayout(layout Layout) Option {
	layout.width() // panics here, and not later in a stream
	return func(o *options) { o.layout = layout }
}

// WithRequiredEnd sets whether a stream without an end frame is an error. By default it is one if the stream has a control
// frame, because it is then a stream of version 1. A response with the media type of version 1 always needs an end frame.
func WithRequiredEnd(required bool) Option {
	return func(o *options) {
		o.end = endOptional
		if required {
			o.end = endRequired
		}
	}
}

// WithPlain makes an encoder write a plain stream: data frames only. Its end cannot be told from a cut.
func WithPlain() Option { return func(o *options) { o.plain = true } }

// WithHTTPClient sends requests with another client than [http.DefaultClient]: for example one with another transport, with
// cookies, or without redirects. If it has a Timeout, the timeout limits the whole stream.
func WithHTTPClient(client *http.Client) Option { return func(o *options) { o.client = client } }

// WithIdleTimeout sets how long to wait for the next byte. The default is three of the heartbeats that the server
// announces, and one minute before it has announced them.
func WithIdleTimeout(limit time.Duration) Option { return func(o *options) { o.idleTimeout = limit } }
