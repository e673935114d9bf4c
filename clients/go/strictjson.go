package objectstreaming

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf16"
	"unicode/utf8"
)

// The JSON of the specification (section 2.3). encoding/json is less strict: it replaces invalid UTF-8 and lone surrogates by
// U+FFFD, allows 10,000 levels, ignores case in the names of struct fields, and merges members with the same name. So this
// package has its own parser, which makes one pass over the bytes. unmarshal.go puts the values into Go types.

const maxDepth = 100

// jsonError is the reason why a text is not the expected JSON. Callers put it into their documented errors.
type jsonError struct {
	message string
	at      int
}

func (e *jsonError) Error() string { return fmt.Sprintf("%s (byte %d)", e.message, e.at) }

// checkJSON checks that a text is one JSON value.
func checkJSON(data []byte) error {
	p := parser{data: data}
	if err := p.skip(); err != nil {
		return err
	}
	return p.end()
}

// checkObject checks that a text is one JSON object, as every header must be.
func checkObject(data []byte) error {
	p := parser{data: data}
	if err := p.expectObject(); err != nil {
		return err
	}
	if err := p.skip(); err != nil {
		return err
	}
	return p.end()
}

// hasMember reports whether a JSON object, which was checked before, has a member of that name.
func hasMember(data []byte, name string) bool {
	if !bytes.Contains(data, []byte(name)) && !bytes.Contains(data, []byte(`\u`)) {
		return false
	}
	found := false
	p := parser{data: data}
	_ = p.members(func(member []byte) error {
		found = found || string(member) == name
		return p.skip()
	})
	return found
}

// marshalJSON returns compact JSON that every receiver accepts, or an *EncodeError.
func marshalJSON(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, &EncodeError{Message: "not JSON", Err: err}
	}
	data := bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
	if err := checkJSON(data); err != nil { // an invalid json.RawMessage, or too many levels
		return nil, &EncodeError{Message: "receivers refuse it", Err: err}
	}
	// encoding/json writes invalid UTF-8 as the escape \ufffd, but U+FFFD itself without an escape.
	if bytes.Contains(data, []byte(`\ufffd`)) && !validStrings(reflect.ValueOf(value)) {
		return nil, &EncodeError{Message: "a string is not UTF-8"}
	}
	return data, nil
}

// validStrings reports whether all strings in a value are UTF-8. The value was marshaled before. Values that marshal
// themselves and fields that are not marshaled are skipped, because they may contain themselves.
func validStrings(v reflect.Value) bool {
	if !v.IsValid() {
		return true
	}
	if pointer := reflect.PointerTo(v.Type()); pointer.Implements(marshalerType) || pointer.Implements(textMarshalerType) {
		return true
	}
	switch v.Kind() {
	case reflect.String:
		return utf8.ValidString(v.String())
	case reflect.Pointer, reflect.Interface:
		return validStrings(v.Elem())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if !validStrings(v.Index(i)) {
				return false
			}
		}
	case reflect.Map:
		for members := v.MapRange(); members.Next(); {
			if !validStrings(members.Key()) || !validStrings(members.Value()) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if (f.IsExported() || f.Anonymous) && f.Tag.Get("json") != "-" && !validStrings(v.Field(i)) {
				return false
			}
		}
	}
	return true
}

// parser reads a text once. at is the next byte, depth the number of open arrays and objects.
type parser struct {
	data  []byte
	at    int
	depth int
}

func (p *parser) fail(message string) error { return &jsonError{message, p.at} }

// peek skips white space, and returns the byte after it. At the end of the text it returns 0, which no value begins with.
func (p *parser) peek() byte {
	for p.at < len(p.data) {
		switch c := p.data[p.at]; c {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return c
		}
	}
	return 0
}

// end checks that only white space is left.
func (p *parser) end() error {
	if p.peek(); p.at < len(p.data) {
		return p.fail("more text after the value")
	}
	return nil
}

func (p *parser) expectObject() error {
	if p.peek() == '{' {
		return nil
	}
	if len(p.data) == 0 {
		return p.fail("empty, where an object is expected")
	}
	return p.unexpected("an object")
}

func (p *parser) unexpected(expected string) error {
	switch {
	case p.at >= len(p.data):
		return p.fail("the text ends where " + expected + " is expected")
	case bytes.HasPrefix(p.data[p.at:], []byte("\xef\xbb\xbf")):
		return p.fail("a byte order mark, which JSON does not allow")
	default:
		return p.fail(fmt.Sprintf("%q where %s is expected", p.data[p.at], expected))
	}
}

// skip skips a value, and checks all of it.
func (p *parser) skip() error {
	switch c := p.peek(); {
	case c == '"':
		_, _, err := p.text()
		return err
	case c == '{':
		return p.members(func([]byte) error { return p.skip() })
	case c == '[':
		return p.elements(p.skip)
	case c == '-' || '0' <= c && c <= '9':
		_, _, err := p.number()
		return err
	default:
		_, err := p.literal()
		return err
	}
}

// members reads an object. It calls value for each member, with p at the value. The name is unescaped, and valid only during
// the call.
func (p *parser) members(value func(name []byte) error) error {
	return p.items('{', '}', "object", func() error {
		if p.peek() != '"' {
			return p.unexpected("the name of a member")
		}
		name, escaped, err := p.text()
		if err != nil {
			return err
		}
		if escaped {
			name = unescape(name)
		}
		if p.peek() != ':' {
			return p.unexpected("a colon")
		}
		p.at++
		return value(name)
	})
}

// elements reads an array. It calls value for each element, with p at the element.
func (p *parser) elements(value func() error) error { return p.items('[', ']', "array", value) }

func (p *parser) items(first, last byte, kind string, item func() error) error {
	if p.peek() != first {
		return p.unexpected("an " + kind)
	}
	if p.depth++; p.depth > maxDepth {
		return p.fail(fmt.Sprintf("nested deeper than %d levels", maxDepth))
	}
	p.at++
	for begun := false; p.peek() != last; begun = true {
		if begun {
			if p.peek() != ',' {
				return p.unexpected("a comma or the end of the " + kind)
			}
			p.at++
		}
		if err := item(); err != nil {
			return err
		}
	}
	p.at++
	p.depth--
	return nil
}

var literals = [...]string{"null", "true", "false"}

func (p *parser) literal() (string, error) {
	for _, literal := range literals {
		if bytes.HasPrefix(p.data[p.at:], []byte(literal)) {
			p.at += len(literal)
			return literal, nil
		}
	}
	return "", p.unexpected("a value")
}

// number skips a number, and reports whether it was written as an integer.
func (p *parser) number() (text []byte, integer bool, err error) {
	from := p.at
	if p.at < len(p.data) && p.data[p.at] == '-' {
		p.at++
	}
	first := p.at
	if p.digits() == 0 {
		return nil, false, p.fail("a digit is expected")
	}
	if p.data[first] == '0' && p.at > first+1 {
		return nil, false, p.fail("a number that begins with 0")
	}
	integer = true
	if p.at < len(p.data) && p.data[p.at] == '.' {
		integer = false
		p.at++
		if p.digits() == 0 {
			return nil, false, p.fail("a digit is expected")
		}
	}
	if p.at < len(p.data) && p.data[p.at]|0x20 == 'e' {
		integer = false
		p.at++
		if p.at < len(p.data) && (p.data[p.at] == '+' || p.data[p.at] == '-') {
			p.at++
		}
		if p.digits() == 0 {
			return nil, false, p.fail("a digit is expected")
		}
	}
	return p.data[from:p.at], integer, nil
}

// digits skips digits, and returns how many there were.
func (p *parser) digits() int {
	at := p.at
	for at < len(p.data) && '0' <= p.data[at] && p.data[at] <= '9' {
		at++
	}
	size := at - p.at
	p.at = at
	return size
}

// plain is true for the bytes that stand for themselves in a string.
var plain = func() (table [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// text skips a string and checks it. It returns the bytes between the quotes, with their escapes: see unescape.
func (p *parser) text() (raw []byte, escaped bool, err error) {
	data, from := p.data, p.at+1
	for at := from; at < len(data); {
		c := data[at]
		switch {
		case plain[c]:
			at++
		case c == '"':
			p.at = at + 1
			return data[from:at], escaped, nil
		case c == '\\':
			escaped = true
			size := escapeSize(data[at:])
			if size == 0 {
				p.at = at
				return nil, false, p.fail("an invalid escape or a lone surrogate in a string")
			}
			at += size
		case c < 0x20:
			p.at = at
			return nil, false, p.fail("a control character in a string")
		default:
			r, size := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && size == 1 {
				p.at = at
				return nil, false, p.fail("not UTF-8")
			}
			at += size
		}
	}
	p.at = len(data)
	return nil, false, p.fail("the text ends inside a string")
}

// escapeSize is the size of the escape at the beginning of data, 12 for a surrogate pair. It is 0 for an invalid escape.
func escapeSize(data []byte) int {
	if len(data) < 2 {
		return 0
	}
	switch data[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		switch unit := hexUnit(data); {
		case unit < 0:
			return 0
		case !utf16.IsSurrogate(unit):
			return 6
		case utf16.DecodeRune(unit, hexUnit(data[6:])) != utf8.RuneError:
			return 12
		}
	}
	return 0
}

// hexUnit is the UTF-16 unit of the escape \uXXXX at the beginning of data. It is -1 if there is none.
func hexUnit(data []byte) rune {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	var unit rune
	for _, c := range data[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		unit = unit<<4 | rune(c)
	}
	return unit
}

// unescape returns the text of a string that was checked before.
func unescape(raw []byte) []byte {
	text := make([]byte, 0, len(raw))
	for {
		at := bytes.IndexByte(raw, '\\')
		if at < 0 {
			return append(text, raw...)
		}
		text = append(text, raw[:at]...)
		raw = raw[at:]
		size := 2
		switch raw[1] {
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			size = escapeSize(raw)
			unit := hexUnit(raw)
			if size == 12 {
				unit = utf16.DecodeRune(unit, hexUnit(raw[6:]))
			}
			text = utf8.AppendRune(text, unit)
		default:
			text = append(text, raw[1])
		}
		raw = raw[size:]
	}
}
