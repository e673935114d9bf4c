package msgpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

const (
	maxDepth  = 500
	timestamp = -1
)

var errShort = errors.New("a length reaches beyond the payload")

// check reports whether data is one MessagePack value and nothing after it. The library trusts the lengths and the depth that
// data claims, so they are compared here with the bytes that are there, before anything is allocated.
func check(data []byte, extensions map[int8]bool) error {
	waiting := []uint64{1} // the values that are still to come, for each array or map that is open
	for len(waiting) > 0 {
		last := len(waiting) - 1
		if waiting[last] == 0 {
			waiting = waiting[:last]
			continue
		}
		waiting[last]--
		values, rest, err := checkHead(data, extensions)
		if err != nil {
			return err
		}
		if values > uint64(len(rest)) { // each takes a byte at least
			return errShort
		}
		if data = rest; values > 0 {
			if waiting = append(waiting, values); len(waiting) > maxDepth {
				return fmt.Errorf("more than %d levels", maxDepth)
			}
		}
	}
	if len(data) > 0 {
		return fmt.Errorf("%d bytes after the value", len(data))
	}
	return nil
}

// checkHead reads a value without the values inside it. It returns their number, and the bytes after what it read.
func checkHead(data []byte, extensions map[int8]bool) (values uint64, rest []byte, err error) {
	if len(data) == 0 {
		return 0, nil, errShort
	}
	kind := data[0]
	data = data[1:]
	length := func(width int) (size uint64) {
		if len(data) < width {
			err = errShort
			return 0
		}
		word := make([]byte, 8)
		copy(word[8-width:], data)
		data = data[width:]
		return binary.BigEndian.Uint64(word)
	}
	take := func(size uint64) (taken []byte) {
		if err != nil || size > uint64(len(data)) {
			err = errShort
			return nil
		}
		taken, data = data[:size], data[size:]
		return taken
	}
	text := func(size uint64) {
		if taken := take(size); err == nil && !utf8.Valid(taken) {
			err = errors.New("a string is not UTF-8")
		}
	}
	extension := func(size uint64) {
		code := take(1)
		if err == nil && !extensions[int8(code[0])] {
			err = fmt.Errorf("extension type %d is not registered", int8(code[0]))
		}
		if take(size); err == nil && int8(code[0]) == timestamp && size != 4 && size != 8 && size != 12 {
			err = fmt.Errorf("a timestamp of %d bytes", size)
		}
	}
	width := func(first byte) int { return 1 << (kind - first) }
	switch {
	case kind <= 0x7f || kind >= 0xe0 || kind == 0xc0 || kind == 0xc2 || kind == 0xc3: // small integers, nil, booleans
	case kind <= 0x8f:
		values = 2 * uint64(kind&0x0f)
	case kind <= 0x9f:
		values = uint64(kind & 0x0f)
	case kind <= 0xbf:
		text(uint64(kind & 0x1f))
	case kind == 0xc1:
		err = errors.New("the byte c1, which is never used")
	case kind <= 0xc6:
		take(length(width(0xc4)))
	case kind <= 0xc9:
		extension(length(width(0xc7)))
	case kind <= 0xcb:
		take(uint64(4 * width(0xca)))
	case kind <= 0xcf:
		take(uint64(width(0xcc)))
	case kind <= 0xd3:
		take(uint64(width(0xd0)))
	case kind <= 0xd8:
		extension(uint64(width(0xd4)))
	case kind <= 0xdb:
		text(length(width(0xd9)))
	case kind <= 0xdd:
		values = length(2 * width(0xdc))
	default:
		values = 2 * length(2*width(0xde))
	}
	return values, data, err
}
