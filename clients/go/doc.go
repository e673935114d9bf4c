// Package objectstreaming reads and writes streams of objects and speech. A stream is length-prefixed frames over HTTP, a
// file, a socket or any other bytes. A frame is a JSON header and a payload.
//
//	0            4             8              8+H                 T
//	| T  uint32  | H  uint32   | header (H B) | payload (T-8-H B) |      little-endian
//
// A stream that was read without an error was whole. A cut is found at any byte. The wire is specified in spec/SPEC.md of
// the project. Comments give the numbers of its sections.
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
// [NewDecoder] reads from any [io.Reader]. [NewStreamDecoder] reads from bytes that you give it, and does no input or output.
// [ReadFrames] and [FrameDecoder] read frames alone, without coders and control frames.
//
// [ReadResponse] reads a response of another HTTP client. [WithResume] and [ResumeAt] resume a stored stream.
//
// # Writing
//
// [Handler] answers HTTP requests. [NewEncoder] writes to an [io.Writer]. [StreamEncoder] appends to byte slices. [AppendFrame] writes one frame.
//
// # Coders
//
// A [Coder] gives headers and payloads their meaning: [JSON], [TAL] (speech), [Raw]. JSON is read strictly, as the
// specification requires: valid UTF-8, no lone surrogates, at most 100 levels. Unlike in encoding/json, the names of struct
// fields match exactly. Of members with the same name the last one counts. In an `any`, numbers are [json.Number], which
// keeps integers of every size.
//
// # Errors
//
// Every error of a stream has a [Code]. [errors.Is] compares the code, [errors.As] gives the details:
//
//	errors.Is(err, objectstreaming.CodeTruncatedFrame)
//
//	var bad *objectstreaming.FrameError
//	if errors.As(err, &bad) {
//		log.Printf("frame %d, byte %d", bad.Index, bad.Offset)
//	}
//
//	*FrameError        the bytes are not frames; the decoder has failed
//	*PayloadError      the frame is valid, the payload is not; the stream can continue
//	*ProtocolError     the frames are valid, the stream is not; the decoder has failed
//	*IncompleteError   the stream stopped before its end, or nothing arrived for too long
//	*CancelError       the caller ended the reading; it has no code, because the stream was not cut
//	*StreamError       the peer reported an error
//	*ResponseError     the peer reported an error by its HTTP status; also a *StreamError
//	*ContentTypeError  the response is not a stream of frames
//	*EncodeError       the message cannot be sent; no byte was written
package objectstreaming
