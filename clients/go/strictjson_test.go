package objectstreaming

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// encodingJSONAccepts applies the rules of the specification with encoding/json, and checks separately what encoding/json
// does not check. It is slow, and shares no code with the parser.
func encodingJSONAccepts(text []byte) bool {
	return json.Valid(text) && utf8.Valid(text) && !hasLoneSurrogate(text) && depthOf(text) <= maxDepth
}

// hasLoneSurrogate uses encoding/json, which reads a lone surrogate as U+FFFD. All other sources of a U+FFFD are replaced
// before.
func hasLoneSurrogate(text []byte) bool {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return false
	}
	withoutThem := bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\ufffd"), []byte("?")), []byte(`\\`), []byte("??"))
	lower := bytes.ToLower(withoutThem)
	withoutThem = bytes.ReplaceAll(lower, []byte(`\ufffd`), []byte("?"))
	return bytes.Contains(decodedStrings(withoutThem), []byte("\ufffd"))
}

// decodedStrings are the strings of a text. The text may be in lower case, so values are not decoded.
func decodedStrings(text []byte) []byte {
	var all []byte
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.Token()
		if err != nil {
			return all
		}
		if s, ok := token.(string); ok {
			all = append(all, s...)
		}
	}
}

func depthOf(text []byte) (deepest int) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

var jsonTexts = []string{
	`{}`, `{"a":1}`, ` [1, -2.5e+3 ,0.1E-7,true,false,null,"x"] `, `"\"\\\/\b\f\n\r\t\u00e9\ud83d\uDE00"`,
	"\"\ufffd\"", `"\ufffd"`, `"\\ud800"`, `"\ud800"`, `"\ude00\ud83d"`, `"\ud800x"`, `"\ud800\u0041"`, `"\ud800\n"`, `"\uD8`,
	`"\u12g4"`, `"\x"`, `"`, `"\`, "\"\x01\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xc0\xaf\"", "\"\xf4\x90\x80\x80\"", "\xef\xbb\xbf{}",
	``, ` `, `{`, `[`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `{1:2}`, `{'a':1}`, `[1 2]`, `{} {}`, `{}x`, "{}\x00",
	`01`, `-`, `-0`, `+1`, `.5`, `1.`, `1.e3`, `1e`, `1e+`, `0x1`, `NaN`, `Infinity`, `-Infinity`, `nul`, `True`, `nulll`, `1e400`,
	"[\f]", "[\u00a0]", `{"a":1,"a":2}`, `{"":{}}`,
	strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat("[", 101) + strings.Repeat("]", 101),
	strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101),
	`"` + strings.Repeat("[", 200) + `"`, strings.Repeat("[", 100000), strings.Repeat("7", 4300),
}

func TestTheStrictParserRefusesWhatTheSpecificationRefuses(t *testing.T) {
	for _, text := range jsonTexts {
		checkAgainstEncodingJSON(t, []byte(text))
	}
}

// checkAgainstEncodingJSON checks that checkJSON, checkObject and unmarshal agree with encoding/json.
func checkAgainstEncodingJSON(t *testing.T, text []byte) {
	t.Helper()
	want := encodingJSONAccepts(text)
	if err := checkJSON(text); (err == nil) != want {
		t.Errorf("checkJSON(%.80q) is %v", text, err)
	}
	var ours, theirs any
	err := unmarshal(text, &ours)
	if (err == nil) != want {
		t.Errorf("unmarshal(%.80q) is %v", text, err)
	}
	_, isObject := ours.(map[string]any)
	if err := checkObject(text); (err == nil) != (want && isObject) {
		t.Errorf("checkObject(%.80q) is %v", text, err)
	}
	if !want {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&theirs); err != nil {
		t.Errorf("encoding/json on %.80q: %v", text, err)
	}
	if !reflect.DeepEqual(ours, theirs) {
		t.Errorf("%.80q is %#v, not %#v", text, ours, theirs)
	}
}

type inner struct {
	X, Y int
}

// everyKind has fields that unmarshal reads itself, and fields that it leaves to encoding/json.
type everyKind struct {
	B     bool             `json:"b"`
	I     int              `json:"i"`
	I8    int8             `json:"i8"`
	U16   uint16           `json:"u16"`
	F32   float32          `json:"f32"`
	F     float64          `json:"f,omitempty"`
	S     string           `json:"s"`
	P     *int             `json:"p"`
	PP    **string         `json:"pp"`
	Any   any              `json:"any"`
	Raw   json.RawMessage  `json:"raw"`
	N     json.Number      `json:"n"`
	L     []inner          `json:"l"`
	A     [2]int           `json:"a"`
	M     map[string]inner `json:"m"`
	Bytes []byte           `json:"bytes"`
	T     time.Time        `json:"t"`
	IM    map[int]string   `json:"im"`
	Self  *everyKind       `json:"self"`
	Plain string
	Skip  string `json:"-"`
	E     struct {
		inner
		Q int `json:"q,string"`
	} `json:"e"`
}

func TestUnmarshalFollowsEncodingJSON(t *testing.T) {
	for _, text := range []string{
		`{}`, `null`, `{"b":true,"i":-5,"i8":127,"u16":65535,"f32":1.5,"f":-2e10,"s":"h\u00e9","p":7,"pp":"x"}`,
		`{"any":{"a":["x",null,true]},"raw": [1, 2] ,"n":12345678901234567890,"l":[{"X":1},{"Y":2},null],"a":[1],"m":{"k":{"X":3}}}`,
		`{"a":[1,2,3,4],"bytes":"aGVsbG8=","t":"2026-11-20T12:00:00Z","im":{"1":"one"},"self":{"self":{"i":3}},"Plain":"p","Skip":"no"}`,
		`{"e":{"X":1,"q":"5"}}`, `{"b":null,"i":null,"s":null,"p":null,"l":null,"m":null,"any":null,"raw":null,"self":null}`,
		`{"l":[],"m":{}}`, `{"unknown":{"deep":[1,2,{"x":null}]},"i":3}`,
		`{"i":1.5}`, `{"i":1e2}`, `{"i8":128}`, `{"u16":-1}`, `{"u16":65536}`, `{"f32":1e39}`, `{"f":1e999}`, `{"b":"true"}`, `{"b":1}`,
		`{"s":1}`, `{"l":{}}`, `{"m":[]}`, `{"self":[]}`, `{"i":"5"}`, `{"a":5}`, `[]`, `"x"`, `{"t":"yesterday"}`, `{"bytes":"***"}`,
		`{"im":{"x":""}}`, `{"e":{"q":5}}`, `{"i":nul}`, `{"b":tru}`, `{"l":[{"X":1}`, `{"i":1}}`, ``,
	} {
		var ours, theirs everyKind
		ourError, theirError := unmarshal([]byte(text), &ours), json.Unmarshal([]byte(text), &theirs)
		if (ourError == nil) != (theirError == nil) {
			t.Errorf("%s: %v, and %v of encoding/json", text, ourError, theirError)
		}
		if ourError == nil && !reflect.DeepEqual(ours, theirs) {
			t.Errorf("%s: %+v, and %+v of encoding/json", text, ours, theirs)
		}
	}
}

func TestUnmarshalDiffersFromEncodingJSONWhereTheSpecificationDoes(t *testing.T) {
	var v struct {
		Status string         `json:"status"`
		M      map[string]int `json:"m"`
		In     *inner         `json:"in"`
		L      []inner        `json:"l"`
	}
	text := `{"STATUS":"shouted","status":"first","m":{"a":1},"in":{"X":1},"l":[{"X":1},{"X":2}],
		"Status":"again","m":{"b":2},"in":{"Y":2},"l":[{"Y":3}],"status":"last","stat\u0075s":"escaped","statuS":"no"}`
	if err := unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	if v.Status != "escaped" || !reflect.DeepEqual(v.M, map[string]int{"b": 2}) || *v.In != (inner{Y: 2}) ||
		!reflect.DeepEqual(v.L, []inner{{Y: 3}}) {
		t.Errorf("%+v %+v", v, v.In)
	}
	for _, target := range []any{nil, v, (*inner)(nil)} {
		if unmarshal([]byte("{}"), target) == nil {
			t.Errorf("a target %T was accepted", target)
		}
	}
	// Members that are ignored, and members that are left to encoding/json, are checked too.
	for _, text := range []string{"{\"other\":\"\xff\"}", `{"other":"\ud800"}`, "{\"t\":\"\xff\"}"} {
		if unmarshal([]byte(text), &everyKind{}) == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestOnlyJSONThatReceiversAcceptIsSent(t *testing.T) {
	type loop struct{ Next *loop }
	endless := &loop{}
	endless.Next = endless
	var deep any
	for range 101 {
		deep = []any{deep}
	}
	for name, value := range map[string]any{
		"NaN":                      math.NaN(),
		"infinity":                 []any{math.Inf(1)},
		"a channel":                make(chan int),
		"itself":                   endless,
		"101 levels":               deep,
		"a string not UTF-8":       map[string]any{"a": []string{"\xff"}},
		"a name not UTF-8":         map[string]int{"\xff": 1},
		"a field not UTF-8":        &inner2{S: "\xed\xa0\x80"},
		"raw JSON not UTF-8":       json.RawMessage("\"\xff\""),
		"raw JSON, lone surrogate": json.RawMessage(`"\ud800"`),
	} {
		if text, err := marshalJSON(value); !errors.Is(err, CodeEncodeError) {
			t.Errorf("%s was sent as %.80q, %v", name, text, err)
		}
	}
	for want, value := range map[string]any{
		`{"a":"<é&>"}`:        map[string]string{"a": "<é&>"},
		"\"\ufffd\"":          "\ufffd",
		`"\ufffd"`:            json.RawMessage(`"\ufffd"`),
		`["\\ufffd","\\\\u"]`: []string{`\ufffd`, `\\u`},
		`null`:                nil,
	} {
		if text, err := marshalJSON(value); err != nil || string(text) != want {
			t.Errorf("%v was sent as %q, %v", value, text, err)
		}
	}
}

type inner2 struct{ S any }

func TestNumbersKeepTheirValueInAnAnyOfWhatEncodingJSONReads(t *testing.T) {
	var v struct{ inner2 }
	if err := unmarshal([]byte(`{"S":[18446744073709551617]}`), &v); err != nil || fmt.Sprint(v.S) != "[18446744073709551617]" {
		t.Error(v.S, err)
	}
}

// hidden contains itself in fields that encoding/json does not marshal.
type hidden struct {
	Text   string
	Parent *hidden `json:"-"`
	up     *hidden
}

func TestOnlyStringsThatAreSentAreChecked(t *testing.T) {
	cyclic := &hidden{Text: "\xff"}
	cyclic.Parent, cyclic.up = cyclic, cyclic
	if text, err := marshalJSON([]any{cyclic}); !errors.Is(err, CodeEncodeError) {
		t.Errorf("%s, %v", text, err)
	}
	cyclic.Text = "\ufffd"
	cyclic.up.Parent = &hidden{Text: "\xff"}
	if text, err := marshalJSON([]any{cyclic, json.RawMessage(`"\ufffd"`)}); err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

func TestHasMember(t *testing.T) {
	for text, want := range map[string]bool{
		`{"$stream":1}`:                true,
		`{"a":1, "\u0024stream" :2}`:   true,
		`{"a":{"$stream":1}}`:          false,
		`{"a":"$stream"}`:              false,
		`{"a":["$stream"],"b":"\u00"}`: false,
		`{}`:                           false,
	} {
		if hasMember([]byte(text), "$stream") != want {
			t.Errorf("hasMember(%s) is not %v", text, want)
		}
	}
}
