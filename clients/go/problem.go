package objectstreaming

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	problemSize   = 16 << 10
	beginningSize = 256
)

// mediaType is the content type of a response, and its parameters (RFC 9110, section 8.3.1).
func mediaType(response *http.Response) (kind string, parameters map[string]string) {
	given := response.Header.Get("Content-Type")
	kind, parameters, err := mime.ParseMediaType(given)
	if err != nil { // malformed: the name is enough for the message
		kind, _, _ = strings.Cut(given, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	return kind, parameters
}

// codings are what the body is encoded with, which may be nothing (RFC 9110, section 8.4).
func codings(response *http.Response) string {
	given := strings.ToLower(strings.Join(response.Header.Values("Content-Encoding"), ","))
	words := strings.FieldsFunc(given, func(r rune) bool { return r == ',' || r == ' ' })
	words = slices.DeleteFunc(words, func(word string) bool { return word == "identity" })
	return strings.TrimPrefix(strings.Join(words, ", "), "x-")
}

// refusal is the error of a response that is not a stream of this coder. It is nil if the response is one. The rest of a
// stream is no plain stream, which says neither where it begins nor that it is whole.
func refusal(response *http.Response, body *body, coder string, rest bool) error {
	if response.StatusCode/100 != 2 {
		return problem(response, body.beginning(problemSize))
	}
	kind, parameters := mediaType(response)
	var why string
	expected := fmt.Sprintf("%s;v=%d", MediaType, Version)
	if !rest {
		expected += " or " + PlainMediaType
	}
	theirs, named := parameters["coder"]
	switch {
	case kind == "":
		why = "the response has no Content-Type"
	case kind != MediaType && (rest || kind != PlainMediaType):
		why = fmt.Sprintf("the content type is %.80q", kind)
	case kind == MediaType && parameters["v"] != strconv.Itoa(Version):
		why = fmt.Sprintf("the stream is of version %.40q, this reader knows %q", parameters["v"], strconv.Itoa(Version))
	case named && theirs != coder:
		why = fmt.Sprintf("the stream's coder is %.40q, this reader's %q", theirs, coder)
	case codings(response) != "" && codings(response) != "gzip":
		why = fmt.Sprintf("the Content-Encoding is %.40q, which is not read here", codings(response))
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
		Message:     fmt.Sprintf("%s; expected %s; %s", why, expected, begins),
	}
}

func excerpt(text []byte) string {
	const size = 80
	line := strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "\ufffd")), " ")
	line = strings.Map(printable, line)
	if len(line) > size {
		line = strings.ToValidUTF8(line[:size], "")
	}
	return line
}

// printable keeps what would control a terminal out of a message.
func printable(char rune) rune {
	if unicode.IsControl(char) {
		return unicode.ReplacementChar
	}
	return char
}

var codeForStatus = map[int]Code{
	400: CodeInvalidArgument, 401: CodeUnauthenticated, 403: CodePermissionDenied, 404: CodeNotFound,
	408: CodeDeadlineExceeded, 409: CodeAborted, 413: CodeResourceExhausted, 415: CodeInvalidArgument,
	422: CodeInvalidArgument, 429: CodeResourceExhausted, 499: CodeCanceled, 500: CodeInternal,
	501: CodeUnimplemented, 502: CodeUnavailable, 503: CodeUnavailable, 504: CodeDeadlineExceeded,
}

// problem is the error of a response whose status is not 2xx. The message is taken from the specification's own members,
// from detail as FastAPI uses it, from the title of RFC 9457, or from the text of the body.
func problem(response *http.Response, text []byte) *ResponseError {
	failure := &ResponseError{Status: response.StatusCode, Header: response.Header, Body: text}
	failure.fromPeer = true
	var fields members
	switch coded := codings(response); {
	case unmarshal(text, new(any)) == nil:
		fields = asMembers(text) // nil for a value that is not an object
	case coded != "" && coded != "gzip":
		failure.Message = fmt.Sprintf("a body of Content-Encoding %.40q", coded)
	default:
		failure.Message = excerpt(text)
	}
	detail := fields["detail"]
	if object := asMembers(detail); object != nil {
		fields = object
		detail = fields["detail"]
	}
	code, _ := asString(fields["code"])
	if failure.Code = Code(code); failure.Code.HTTPStatus() == 0 {
		if failure.Code = codeForStatus[response.StatusCode]; failure.Code == "" {
			failure.Code = CodeUnknown
		}
	}
	for _, name := range []string{"message", "detail", "title"} {
		if message, ok := asString(fields[name]); ok {
			failure.Message = message
			break
		}
	}
	if details := fields["details"]; string(details) != "null" {
		failure.Details = details
	}
	if failure.Details == nil && bytes.HasPrefix(detail, []byte("[")) {
		failure.Details = detail // what FastAPI found wrong with the request: an object for each error
		if failure.Message == "" {
			failure.Message = firstError(detail)
		}
	}
	if failure.Message == "" {
		failure.Message = http.StatusText(response.StatusCode)
	}
	if place := response.Header.Get("Location"); place != "" && response.StatusCode/100 == 3 {
		failure.Message += fmt.Sprintf(", to %.200q, which was not followed", place)
	}
	return failure
}

// firstError is the place of the first error that FastAPI reports, and what is wrong there.
func firstError(detail json.RawMessage) string {
	var found []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	if err := unmarshal(detail, &found); err != nil || len(found) == 0 {
		return ""
	}
	if found[0].Loc == nil {
		return "request: " + found[0].Msg
	}
	place := make([]string, len(found[0].Loc))
	for i, name := range found[0].Loc {
		place[i] = fmt.Sprint(name)
	}
	return strings.Join(place, ".") + ": " + found[0].Msg
}
