// Package ndarray is the coder "ndarray" of objectstreaming (section 4.4): arrays of numbers or booleans, as NumPy has them.
// The header has the type and the shape of the array, and the payload its bytes.
//
//	stream, err := objectstreaming.Post(ctx, url, question, ndarray.New[map[string]any]())
//	...
//	values, err := ndarray.Values[float32](message.Payload)
package ndarray

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"regexp"
	"strconv"
	"strings"

	objectstreaming "example.com/objectstreaming/clients/go"
)

// Array is an array in C order: the last dimension changes fastest.
type Array struct {
	// DType is the type of the elements with its byte order, as dtype.str of NumPy has it: "<f4", ">i2", "|u1", "|b1".
	DType string
	// Shape is the size of each dimension. An array without dimensions is one element.
	Shape []int
	// Data is the bytes of the elements. Values reads them.
	Data []byte
}

// Element is a type of Go whose values are elements of arrays.
type Element interface {
	bool | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64 | complex64 | complex128
}

const maxDimensions = 32

// Numbers and booleans with their byte order: no objects, strings, records or subarrays.
var dtypes = regexp.MustCompile(`^(?:\|b1|\|[iu]1|[<>](?:[iu][248]|f[248]|c8|c16))$`)

// kindOf is the dtype of T without its byte order.
func kindOf[T Element]() string {
	var zero T
	kind := map[string]string{"b": "b", "i": "i", "u": "u", "f": "f", "c": "c"}[fmt.Sprintf("%T", zero)[:1]]
	return kind + strconv.Itoa(binary.Size(zero))
}

// Of returns an array of values in little-endian byte order. It panics if the shape does not fit their number.
func Of[T Element](values []T, shape ...int) Array {
	order := "<"
	kind := kindOf[T]()
	if strings.HasSuffix(kind, "1") {
		order = "|"
	}
	data := make([]byte, len(values)*binary.Size(*new(T)))
	if _, err := binary.Encode(data, binary.LittleEndian, values); err != nil {
		panic(err) // all types of Element have a size
	}
	made := Array{order + kind, shape, data}
	if err := made.check(); err != nil {
		panic("ndarray: " + err.Error())
	}
	return made
}

// Values returns the elements of an array. The error says that they are of another type.
func Values[T Element](array Array) ([]T, error) {
	if err := array.check(); err != nil {
		return nil, err
	}
	if kind := kindOf[T](); array.DType[1:] != kind {
		return nil, fmt.Errorf("ndarray: the elements are %s, not %s", array.DType, kind)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if array.DType[0] == '>' {
		order = binary.BigEndian
	}
	values := make([]T, len(array.Data)/binary.Size(*new(T)))
	_, err := binary.Decode(array.Data, order, values)
	return values, err
}

// check reports whether the bytes are as many as the shape and the type say.
func (a Array) check() error {
	if !dtypes.MatchString(a.DType) {
		return fmt.Errorf("dtype %.40q is not one of numbers or booleans", a.DType)
	}
	if len(a.Shape) > maxDimensions {
		return fmt.Errorf("%d dimensions, at most %d are allowed", len(a.Shape), maxDimensions)
	}
	size, _ := strconv.ParseUint(a.DType[2:], 10, 8)
	wanted := size
	for _, length := range a.Shape {
		if length < 0 {
			return fmt.Errorf("the shape has the size %d", length)
		}
		over, product := bits.Mul64(wanted, uint64(length))
		if wanted = product; over > 0 {
			wanted = math.MaxUint64 // as good as infinite, unless a size is 0
		}
	}
	for _, length := range a.Shape {
		if length == 0 {
			wanted = 0
		}
	}
	if wanted != uint64(len(a.Data)) {
		return fmt.Errorf("the shape %.80s of %s takes %d bytes, there are %d", fmt.Sprint(a.Shape), a.DType, wanted, len(a.Data))
	}
	return nil
}

// New returns the coder. H is the type of headers, without dtype and shape: a struct or a map.
func New[H any]() objectstreaming.Coder[H, Array] { return coder[H]{objectstreaming.Raw[H]()} }

type coder[H any] struct {
	headers objectstreaming.Coder[H, []byte]
}

func (coder[H]) Name() string    { return "ndarray" }
func (coder[H]) Neutral() []byte { return nil }

func (c coder[H]) Encode(header H, array Array) (head, body []byte, err error) {
	if err := array.check(); err != nil {
		return nil, nil, err
	}
	text, _, err := c.headers.Encode(header, nil)
	if err != nil {
		return nil, nil, err
	}
	var members map[string]json.RawMessage
	if err := (objectstreaming.Frame{Header: text}).DecodeHeader(&members); err != nil {
		return nil, nil, err
	}
	if members["dtype"] != nil || members["shape"] != nil {
		return nil, nil, errors.New("the header members dtype and shape are set by the coder, from the array")
	}
	shape, _ := json.Marshal(append([]int{}, array.Shape...))
	head = fmt.Appendf(nil, `{"dtype":%q,"shape":%s`, array.DType, shape)
	if len(members) > 0 {
		head = append(head, ',')
	}
	return append(head, bytes.TrimSpace(text)[1:]...), array.Data, nil
}

func (c coder[H]) Decode(frame objectstreaming.Frame) (header H, array Array, err error) {
	var members map[string]json.RawMessage
	if err := frame.DecodeHeader(&members); err != nil {
		return header, array, err
	}
	array.Data = frame.Payload
	if json.Unmarshal(members["dtype"], &array.DType) != nil || !dtypes.MatchString(array.DType) {
		return header, array, frame.InvalidHeader(fmt.Sprintf("dtype %.40s is not one of numbers or booleans", members["dtype"]), nil)
	}
	var sizes []json.RawMessage
	if err := json.Unmarshal(members["shape"], &sizes); err != nil || sizes == nil || len(sizes) > maxDimensions {
		return header, array, frame.InvalidHeader(fmt.Sprintf("shape %.40s is not a list of sizes", members["shape"]), nil)
	}
	array.Shape = make([]int, len(sizes))
	for i, text := range sizes {
		size, err := strconv.ParseInt(string(text), 10, strconv.IntSize)
		if tooLarge := errors.Is(err, strconv.ErrRange); err != nil && !tooLarge || size < 0 {
			return header, array, frame.InvalidHeader(fmt.Sprintf("the size %.40s in shape", text), nil)
		}
		array.Shape[i] = int(size) // the largest int, if it is larger: no payload has so many bytes
	}
	if err := array.check(); err != nil {
		return header, array, frame.InvalidPayload(err.Error(), nil)
	}
	delete(members, "dtype")
	delete(members, "shape")
	if frame.Header, err = json.Marshal(members); err == nil {
		err = frame.DecodeHeader(&header)
	}
	return header, array, err
}
