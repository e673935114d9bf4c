/**
 * A stream of frames, read and written: whole, or known not to be.
 *
 * <p>{@link io.github.objectstreaming.FrameDecoder} turns bytes into frames, {@link
 * io.github.objectstreaming.StreamDecoder} turns them into messages and knows the end of a stream from a cut, {@link
 * io.github.objectstreaming.MessageStream} reads them from an input stream. None of them does more input or output than
 * that; HTTP is in the artifact {@code objectstreaming-http}, JSON for your own classes in {@code objectstreaming-json}.
 *
 * <p>All errors about a stream are {@link io.github.objectstreaming.ObjectStreamException}s:
 *
 * <pre>
 * ObjectStreamException
 *   FrameException              the bytes are not frames: code, index, offset; the decoder is dead
 *   PayloadException            framing fine, content not; the stream may go on
 *   ProtocolException           right frames in a wrong stream: code, index
 *   StreamIncompleteException   a clean boundary, but the promised end never came: position
 *     IdleTimeoutException      nothing, not even a ping, for too long
 *   StreamException             the peer said that it failed: code, message, details
 *     ResponseException         it said so by HTTP status, before the first frame
 *   ContentTypeException        the response is not a stream of frames
 *   EncodeException             ours, before a byte leaves
 * </pre>
 */
package io.github.objectstreaming;
