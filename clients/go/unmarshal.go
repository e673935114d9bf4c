package objectstreaming

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// unmarshal reads one strict JSON value into the value that target points to. It follows the rules and tags of encoding/json,
// with two exceptions: names of members match exactly, and of members with the same name the last one counts. Types that
// unmarshal themselves, and rare features of encoding/json (embedded structs, the option "string", []byte, maps whose keys
// are not strings), are left to encoding/json, after their text was checked.
func unmarshal(data []byte, target any) error {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("the target is %T, not a pointer", target)
	}
	p := parser{data: data}
	if err := p.into(v.Elem()); err != nil {
		return err
	}
	return p.end()
}

// unmarshalObject is unmarshal for a text that must be an object.
func unmarshalObject(data []byte, target any) error {
	p := parser{data: data}
	if err := p.expectObject(); err != nil {
		return err
	}
	return unmarshal(data, target)
}

var (
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	marshalerType       = reflect.TypeFor[json.Marshaler]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	rawMessageType      = reflect.TypeFor[json.RawMessage]()
	numberType          = reflect.TypeFor[json.Number]()
	anyType             = reflect.TypeFor[any]()
)

// plan describes how a type is read: by encoding/json if it is foreign, and for a struct its members.
type plan struct {
	foreign bool
	fields  []field
}

type field struct {
	name  string
	index int
}

var plans sync.Map // of reflect.Type to *plan

func planOf(t reflect.Type) *plan {
	if known, ok := plans.Load(t); ok {
		return known.(*plan)
	}
	made, _ := plans.LoadOrStore(t, makePlan(t))
	return made.(*plan)
}

func makePlan(t reflect.Type) *plan {
	foreign := &plan{foreign: true}
	if t == rawMessageType || t == numberType {
		return &plan{}
	}
	if pointer := reflect.PointerTo(t); pointer.Implements(unmarshalerType) || pointer.Implements(textUnmarshalerType) {
		return foreign
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64, reflect.Pointer, reflect.Array,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return &plan{}
	case reflect.Interface:
		if t == anyType {
			return &plan{}
		}
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return &plan{}
		}
	case reflect.Map:
		if key := t.Key(); key.Kind() == reflect.String && !reflect.PointerTo(key).Implements(textUnmarshalerType) {
			return &plan{}
		}
	case reflect.Struct:
		if fields, ok := fieldsOf(t); ok {
			return &plan{fields: fields}
		}
	}
	return foreign
}

// fieldsOf lists the members of a struct. It returns false if the struct is left to encoding/json.
func fieldsOf(t reflect.Type) ([]field, bool) {
	var fields []field
	seen := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			return nil, false
		}
		tag := f.Tag.Get("json")
		if !f.IsExported() || tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		if seen[name] || strings.ContainsAny(name, `"\`) {
			return nil, false
		}
		for option := range strings.SplitSeq(options, ",") {
			if option == "string" {
				return nil, false
			}
		}
		seen[name] = true
		fields = append(fields, field{name: name, index: i})
	}
	return fields, true
}

// into reads the value at p.at into v.
func (p *parser) into(v reflect.Value) error {
	t := v.Type()
	plan := planOf(t)
	c := p.peek()
	if plan.foreign {
		return p.leaveToEncodingJSON(v)
	}
	if t == rawMessageType {
		from := p.at
		if err := p.skip(); err != nil {
			return err
		}
		v.SetBytes(append([]byte(nil), p.data[from:p.at]...))
		return nil
	}
	if c == 'n' {
		if _, err := p.literal(); err != nil {
			return err
		}
		v.SetZero()
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		return p.into(v.Elem())
	case reflect.Interface:
		value, err := p.any()
		if err == nil {
			v.Set(reflect.ValueOf(value))
		}
		return err
	case reflect.Struct:
		return p.intoStruct(v, plan)
	case reflect.Map:
		return p.intoMap(v)
	case reflect.Slice:
		return p.intoSlice(v)
	case reflect.Array:
		return p.intoArray(v)
	case reflect.String:
		if t == numberType {
			return p.intoNumber(v)
		}
		if c != '"' {
			return p.mismatch(t)
		}
		text, err := p.string()
		v.SetString(text)
		return err
	case reflect.Bool:
		literal, err := p.literal()
		if err != nil {
			return p.mismatch(t)
		}
		v.SetBool(literal == "true")
		return nil
	default:
		return p.intoNumber(v)
	}
}

func (p *parser) leaveToEncodingJSON(v reflect.Value) error {
	from := p.at
	if err := p.skip(); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(p.data[from:p.at]))
	decoder.UseNumber()
	return decoder.Decode(v.Addr().Interface())
}

// mismatch is the error for a value of another kind than expected, or for an invalid value.
func (p *parser) mismatch(t reflect.Type) error {
	at := p.at
	if err := p.skip(); err != nil {
		return err
	}
	return &jsonError{fmt.Sprintf("%.40s where a %s is expected", p.data[at:p.at], t), at}
}

func (p *parser) string() (string, error) {
	raw, escaped, err := p.text()
	if escaped {
		raw = unescape(raw)
	}
	return string(raw), err
}

func (p *parser) intoStruct(v reflect.Value, plan *plan) error {
	if p.peek() != '{' {
		return p.mismatch(v.Type())
	}
	next := 0 // most members come in the order of the fields
	return p.members(func(name []byte) error {
		for range plan.fields {
			if next == len(plan.fields) {
				next = 0
			}
			f := &plan.fields[next]
			next++
			if f.name == string(name) {
				member := v.Field(f.index)
				member.SetZero() // removes the value of an earlier member of the same name
				return p.into(member)
			}
		}
		return p.skip()
	})
}

func (p *parser) intoMap(v reflect.Value) error {
	if p.peek() != '{' {
		return p.mismatch(v.Type())
	}
	t := v.Type()
	v.Set(reflect.MakeMap(t))
	return p.members(func(name []byte) error {
		key := reflect.New(t.Key()).Elem()
		key.SetString(string(name))
		element := reflect.New(t.Elem()).Elem()
		if err := p.into(element); err != nil {
			return err
		}
		v.SetMapIndex(key, element)
		return nil
	})
}

func (p *parser) intoSlice(v reflect.Value) error {
	if p.peek() != '[' {
		return p.mismatch(v.Type())
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	return p.elements(func() error {
		n := v.Len()
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		element := v.Index(n)
		element.SetZero()
		return p.into(element)
	})
}

func (p *parser) intoArray(v reflect.Value) error {
	if p.peek() != '[' {
		return p.mismatch(v.Type())
	}
	v.SetZero()
	n := 0
	return p.elements(func() error {
		if n == v.Len() {
			return p.skip()
		}
		n++
		return p.into(v.Index(n - 1))
	})
}

func (p *parser) intoNumber(v reflect.Value) error {
	if c := p.peek(); c != '-' && (c < '0' || c > '9') {
		return p.mismatch(v.Type())
	}
	at := p.at
	text, _, err := p.number()
	if err != nil {
		return err
	}
	fits := false
	switch {
	case v.Kind() == reflect.String:
		v.SetString(string(text))
		fits = true
	case v.CanInt():
		var n int64
		n, err = strconv.ParseInt(string(text), 10, 64)
		if fits = err == nil && !v.OverflowInt(n); fits {
			v.SetInt(n)
		}
	case v.CanUint():
		var n uint64
		n, err = strconv.ParseUint(string(text), 10, 64)
		if fits = err == nil && !v.OverflowUint(n); fits {
			v.SetUint(n)
		}
	case v.CanFloat():
		var n float64
		n, err = strconv.ParseFloat(string(text), v.Type().Bits())
		if fits = err == nil && !v.OverflowFloat(n); fits {
			v.SetFloat(n)
		}
	}
	if !fits {
		return &jsonError{fmt.Sprintf("%.40s does not fit a %s", text, v.Type()), at}
	}
	return nil
}

// any reads the value at p.at as map[string]any, []any, string, json.Number, bool or nil.
func (p *parser) any() (any, error) {
	switch c := p.peek(); {
	case c == '"':
		return p.string()
	case c == '{':
		object := map[string]any{}
		err := p.members(func(name []byte) error {
			key := string(name)
			value, err := p.any()
			object[key] = value
			return err
		})
		return object, err
	case c == '[':
		array := []any{}
		err := p.elements(func() error {
			value, err := p.any()
			array = append(array, value)
			return err
		})
		return array, err
	case c == '-' || '0' <= c && c <= '9':
		text, _, err := p.number()
		return json.Number(text), err
	default:
		literal, err := p.literal()
		if err != nil || literal == "null" {
			return nil, err
		}
		return literal == "true", nil
	}
}

// members are the members of a JSON object, by name, as JSON text.
type members map[string]json.RawMessage

// asMembers is nil if the value is absent or not an object.
func asMembers(value json.RawMessage) (object members) {
	_ = unmarshal(value, &object)
	return object
}

func asString(value json.RawMessage) (text string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return text, unmarshal(value, &text) == nil
}
