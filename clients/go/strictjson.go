package objectstreaming

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON as the specification means it (section 2.3). encoding/json leaves open what the specification does not: it
// replaces what is not UTF-8 and lone surrogates by U+FFFD, nests 10,000 levels, matches the names of struct fields
// without regard to case, and merges members with the same name. So the text is read here, in one pass over its bytes;
// unmarshal.go puts it into Go values.

const maxDepth = 100

// jsonError is why a text is not the JSON that is wanted. Callers make it their documented error.
type jsonError struct {
	message string
	at      int
}

func (e *jsonError) Error() string { return fmt.Sprintf("%s (byte %d)", e.message, e.at) }

// checkJSON reports what is wrong with a text that should be one JSON value.
func checkJSON(data []byte) error {
	p := parser{data: data}
	if err := p.skip(); err != nil {
		return err
	}
	return p.end()
}

// checkObject reports what is wrong with a text that should be one JSON object: what a header must be.
func checkObject(data []byte) error {
	p := parser{data: data}
	if err := p.wantObject(); err != nil {
		return err
	}
	if err := p.skip(); err != nil {
		return err
	}
	return p.end()
}

// hasMember reports whether a JSON object that has been checked has a member of that name.
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

// marshalJSON is compact JSON that every receiver accepts, or an *EncodeError.
func marshalJSON(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, &EncodeError{Message: "this cannot be sent as JSON", Err: err}
	}
	data := bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
	if err := checkJSON(data); err != nil { // a json.RawMessage, or nested too deep
		return nil, &EncodeError{Message: "this would be refused by receivers", Err: err}
	}
	// encoding/json writes what is not UTF-8 as the escape \ufffd, and U+FFFD itself as it is.
	if bytes.Contains(data, []byte(`\ufffd`)) && !validStrings(reflect.ValueOf(value)) {
		return nil, &EncodeError{Message: "a string is not UTF-8, which JSON is"}
	}
	return data, nil
}

// validStrings reports whether all strings in a value, which has been marshaled, are UTF-8. What marshals itself, or is not
// marshaled, is not looked into: it may hold itself.
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

// parser goes through a text once. at is the next byte to look at, depth the number of open arrays and objects.
type parser struct {
	data  []byte
	at    int
	depth int
}

func (p *parser) fail(message string) error { return &jsonError{message, p.at} }

// peek passes over white space, and returns the byte after it; 0, which is no JSON, where the text ends.
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

// end fails if anything but white space is left.
func (p *parser) end() error {
	if p.peek(); p.at < len(p.data) {
		return p.fail("more follows where the value ends")
	}
	return nil
}

func (p *parser) wantObject() error {
	if p.peek() == '{' {
		return nil
	}
	if len(p.data) == 0 {
		return p.fail("empty, where an object is expected")
	}
	return p.unexpected("an object")
}

func (p *parser) unexpected(wanted string) error {
	switch {
	case p.at >= len(p.data):
		return p.fail("the text ends where " + wanted + " is expected")
	case bytes.HasPrefix(p.data[p.at:], []byte("\xef\xbb\xbf")):
		return p.fail("a byte order mark, which JSON forbids")
	default:
		return p.fail(fmt.Sprintf("%q where %s is expected", p.data[p.at], wanted))
	}
}

// skip passes over a value, and checks all of it.
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

// members goes through an object: value is called with each name, unescaped and not to be kept, at the member's value.
func (p *parser) members(value func(name []byte) error) error {
	if err := p.enter('{', "an object"); err != nil {
		return err
	}
	if p.peek() == '}' {
		return p.leave()
	}
	for {
		if p.peek() != '"' {
			return p.unexpected("a member's name")
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
		if err := value(name); err != nil {
			return err
		}
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			return p.leave()
		default:
			return p.unexpected("a comma or the object's end")
		}
	}
}

// elements goes through an array: value is called at each element.
func (p *parser) elements(value func() error) error {
	if err := p.enter('[', "an array"); err != nil {
		return err
	}
	if p.peek() == ']' {
		return p.leave()
	}
	for {
		if err := value(); err != nil {
			return err
		}
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			return p.leave()
		default:
			return p.unexpected("a comma or the array's end")
		}
	}
}

func (p *parser) enter(bracket byte, kind string) error {
	if p.peek() != bracket {
		return p.unexpected(kind)
	}
	if p.depth++; p.depth > maxDepth {
		return p.fail(fmt.Sprintf("nested deeper than %d levels", maxDepth))
	}
	p.at++
	return nil
}

func (p *parser) leave() error {
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

// number passes over a number, and tells whether it was written as an integer.
func (p *parser) number() (text []byte, integer bool, err error) {
	data, from, at := p.data, p.at, p.at
	if at < len(data) && data[at] == '-' {
		at++
	}
	first := at
	for at < len(data) && '0' <= data[at] && data[at] <= '9' {
		at++
	}
	if at == first || data[first] == '0' && at > first+1 {
		p.at = at
		return nil, false, p.fail("not a number of JSON")
	}
	integer = true
	if at < len(data) && data[at] == '.' {
		integer = false
		at++
		first = at
		for at < len(data) && '0' <= data[at] && data[at] <= '9' {
			at++
		}
		if at == first {
			p.at = at
			return nil, false, p.fail("a number with no digit after its point")
		}
	}
	if at < len(data) && data[at]|0x20 == 'e' {
		integer = false
		at++
		if at < len(data) && (data[at] == '+' || data[at] == '-') {
			at++
		}
		first = at
		for at < len(data) && '0' <= data[at] && data[at] <= '9' {
			at++
		}
		if at == first {
			p.at = at
			return nil, false, p.fail("a number with no digit in its exponent")
		}
	}
	p.at = at
	return data[from:at], integer, nil
}

// plain has true for what a string holds as it is.
var plain = func() (table [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// text passes over a string and checks it. What is between the quotes is returned as it is: see unescape.
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
				return nil, false, p.fail("an escape that is none, or half of a surrogate pair")
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
	return nil, false, p.fail("a string that does not end")
}

// escapeSize is the length of the escape that data begins with, of a surrogate pair as a whole; 0 if it is none.
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

// hexUnit is the UTF-16 unit of the escape \uXXXX that data begins with; -1 if it does not.
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

// unescape is the text of a string that has been checked.
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
