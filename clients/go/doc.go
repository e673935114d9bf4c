// Package objectstreaming reads and writes streams of objects and speech: length-prefixed frames over HTTP, files,
// sockets, or any other bytes, each a JSON header and a payload.
//
//	0            4             8              8+H                 T
//	| T  uint32  | H  uint32   | header (H B) | payload (T-8-H B) |      little-endian
//
// A stream read by this package was whole, or its reader got an error: a cut at any byte is found. The wire is
// specified in spec/SPEC.md of the project; the section numbers in comments are its.
//
// # Reading
//
// Over HTTP, [Post] and [Do]:
//
//	stream, err := objectstreaming.Post(ctx, url, question, objectstreaming.JSON[Status, Answer]())
//	if err != nil {
//		return err
//	}
//	defer stream.Close()
//	for message, err := range stream.All() {
//		if err != nil {
//			return err
//		}
//		fmt.Println(message.Payload.Answer)
//	}
//
// From any [io.Reader], [NewDecoder]; from bytes as they come, with no input or output at all, [NewStreamDecoder].
// For frames alone, with neither coders nor control frames, there are [ReadFrames] and [FrameDecoder].
//
// # Writing
//
// [NewEncoder] writes to an [io.Writer], [StreamEncoder] appends to byte slices, [AppendFrame] makes one frame.
//
// # Coders
//
// A [Coder] gives headers and payloads their meaning: [JSON], [TAL] (speech), [Raw]. JSON is read strictly, as the
// specification wants it: valid UTF-8, no lone surrogates, at most 100 levels deep. The names of struct fields match
// exactly, unlike encoding/json's, and of members with the same name the last one counts. In an `any`, numbers are
// [json.Number], which keeps integers of every size.
//
// # Errors
//
// Every error about a stream has a [Code], and says with [errors.Is] whether it is one, and with [errors.As] what it
// knows beside:
//
//	errors.Is(err, objectstreaming.CodeTruncatedFrame)
//
//	var bad *objectstreaming.FrameError
//	if errors.As(err, &bad) {
//		log.Printf("frame %d, byte %d", bad.Index, bad.Offset)
//	}
//
//	*FrameError        the bytes are not frames; the decoder is dead
//	*PayloadError      the framing is sound, the payload is not; the stream may go on
//	*ProtocolError     right frames in a wrong stream
//	*IncompleteError   the end that was promised never came, or nothing came for too long
//	*StreamError       the peer said that it failed
//	*ResponseError     it said so by HTTP status; also a *StreamError
//	*ContentTypeError  the response is not a stream of frames
//	*EncodeError       ours, before a byte leaves
package objectstreaming
