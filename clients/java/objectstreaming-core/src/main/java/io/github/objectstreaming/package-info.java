/**
 * Reads and writes streams of frames. A stream that was read without an exception was whole.
 *
 * <p>{@link io.github.objectstreaming.FrameDecoder} reads frames from bytes. {@link
 * io.github.objectstreaming.StreamDecoder} reads messages and finds a stream that was cut. {@link
 * io.github.objectstreaming.MessageStream} reads messages from an input stream. HTTP is in the artifact {@code
 * objectstreaming-http}, JSON for your own classes in {@code objectstreaming-json}.
 *
 * <p>All exceptions of streams are {@link io.github.objectstreaming.ObjectStreamException}s:
 *
 * <pre>
 * ObjectStreamException
 *   FrameException              the bytes are not frames; the decoder has failed
 *   PayloadException            the frame is valid, the payload is not; the stream can continue
 *   ProtocolException           the frames are valid, the stream is not; the decoder has failed
 *   StreamIncompleteException   the stream stopped between two frames, before its end
 *     IdleTimeoutException      nothing arrived for too long, not even a ping
 *   StreamException             the peer reported an error
 *     ResponseException         the peer reported an error by its HTTP status, before the first frame
 *   ContentTypeException        the response is not a stream of frames
 *   EncodeException             the message cannot be sent; no byte was written
 * </pre>
 */
package io.github.objectstreaming;
