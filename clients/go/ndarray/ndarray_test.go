package ndarray_test

import (
	"bytes"
	"reflect"
	"testing"

	objectstreaming "example.com/objectstreaming/clients/go"
	"example.com/objectstreaming/clients/go/ndarray"
)

type named struct {
	Name string `json:"name"`
}

func TestAnArrayComesBackAsItWas(t *testing.T) {
	sent := ndarray.Of([]int16{1, -2, 3, 4, 5, 6}, 2, 3)
	coder := ndarray.New[named]()
	var wire bytes.Buffer
	encoder := objectstreaming.NewEncoder(&wire, coder)
	if err := encoder.Encode(named{"x"}, sent); err != nil {
		t.Fatal(err)
	}
	if err := encoder.End(nil); err != nil {
		t.Fatal(err)
	}
	if want := `{"dtype":"<i2","shape":[2,3],"name":"x"}`; !bytes.Contains(wire.Bytes(), []byte(want)) {
		t.Errorf("%q", wire.Bytes())
	}
	for message, err := range objectstreaming.NewDecoder(&wire, coder).All() {
		if err != nil || message.Header.Name != "x" || !reflect.DeepEqual(message.Payload, sent) {
			t.Error(message, err)
		}
		if values, err := ndarray.Values[int16](message.Payload); err != nil || values[1] != -2 {
			t.Error(values, err)
		}
		if values, err := ndarray.Values[uint16](message.Payload); err == nil {
			t.Error(values)
		}
	}
}

func TestEveryTypeOfGoHasADtype(t *testing.T) {
	arrays := []ndarray.Array{
		ndarray.Of([]bool{true}, 1), ndarray.Of([]int8{1}, 1), ndarray.Of([]uint8{1}, 1), ndarray.Of([]uint16{1}, 1),
		ndarray.Of([]int32{1}, 1), ndarray.Of([]uint64{1}, 1), ndarray.Of([]float32{1}, 1), ndarray.Of([]float64{1}),
		ndarray.Of([]complex64{1}, 1), ndarray.Of([]complex128{1}, 1),
	}
	var dtypes []string
	for _, array := range arrays {
		dtypes = append(dtypes, array.DType)
	}
	if want := []string{"|b1", "|i1", "|u1", "<u2", "<i4", "<u8", "<f4", "<f8", "<c8", "<c16"}; !reflect.DeepEqual(dtypes, want) {
		t.Error(dtypes)
	}
	big, err := ndarray.Values[float32](ndarray.Array{DType: ">f4", Shape: []int{1}, Data: []byte{0x3f, 0x80, 0, 0}})
	if err != nil || big[0] != 1 {
		t.Error(big, err)
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	coder := ndarray.New[map[string]any]()
	for header, code := range map[string]objectstreaming.Code{
		`{"dtype":"|O","shape":[1]}`:                                            objectstreaming.CodeInvalidHeader,
		`{"dtype":"<i2"}`:                                                       objectstreaming.CodeInvalidHeader,
		`{"dtype":"<i2","shape":null}`:                                          objectstreaming.CodeInvalidHeader,
		`{"dtype":"<i2","shape":[true]}`:                                        objectstreaming.CodeInvalidHeader,
		`{"dtype":"<i2","shape":[1.0]}`:                                         objectstreaming.CodeInvalidHeader,
		`{"dtype":"<i2","shape":[1000000,1000000]}`:                             objectstreaming.CodeInvalidPayload,
		`{"dtype":"<i2","shape":[4294967296,4294967296]}`:                       objectstreaming.CodeInvalidPayload,
		`{"dtype":"<i2","shape":[99999999999999999999]}`:                        objectstreaming.CodeInvalidPayload,
		`{"dtype":"<i2","shape":[9223372036854775807,9223372036854775807,0,4]}`: objectstreaming.CodeInvalidPayload,
	} {
		_, array, err := coder.Decode(objectstreaming.Frame{Header: []byte(header), Payload: []byte{1, 2, 3, 4, 5, 6}})
		if objectstreaming.CodeOf(err) != code {
			t.Error(header, array, err)
		}
	}
	for _, array := range []ndarray.Array{{}, {DType: "<i2", Shape: []int{-1}}, {DType: "<i2", Shape: []int{1}, Data: []byte{1}}} {
		if _, _, err := coder.Encode(nil, array); err == nil {
			t.Error(array)
		}
	}
	if _, _, err := coder.Encode(map[string]any{"dtype": "<i2"}, ndarray.Of([]int8{1}, 1)); err == nil {
		t.Error("a header with a dtype of its own")
	}
}
