package io.github.objectstreaming;

import java.io.InputStream;
import java.time.Duration;
import java.util.Iterator;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The messages of one stream, in order, as they arrive. Reading blocks until there is a message.
 *
 * <pre>{@code
 * try (MessageStream<TalAudio, Pcm> speech = MessageStream.of(file, new TalCoder())) {
 *     for (Message<TalAudio, Pcm> message : speech) {
 *         play(message.payload());
 *     }
 * }
 * }</pre>
 *
 * <p>Reading throws the exceptions of {@link StreamDecoder}. A connection that breaks is {@code truncated_frame} inside
 * a frame and {@code stream_incomplete} between two frames, after all whole messages. After the end frame the stream is
 * whole, whatever happens to the connection. After a {@link PayloadException} reading continues with the next frame. Any
 * other exception is thrown again. One thread reads; any thread may {@link #close()}.
 *
 * @param <H> the type of headers
 * @param <P> the type of payloads
 */
public interface MessageStream<H, P> extends Iterable<Message<H, P>>, AutoCloseable {
    /**
     * The messages of an input stream.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param in closed at the end, and by {@link #close()}
     * @param coder reads the messages
     * @return the messages; no byte has been read yet
     */
    static <H, P> MessageStream<H, P> of(InputStream in, Coder<H, P> coder) {
        return of(in, new StreamDecoder<>(coder));
    }

    /**
     * The messages of an input stream, with other limits or another end policy.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param in closed at the end, and by {@link #close()}
     * @param decoder a new decoder
     * @return the messages; no byte has been read yet
     */
    static <H, P> MessageStream<H, P> of(InputStream in, StreamDecoder<H, P> decoder) {
        return of(SourceStream.chunks(in), decoder);
    }

    /**
     * The messages of a source of chunks.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param source the source of the bytes; closed at the end, and by {@link #close()}
     * @param decoder a new decoder
     * @return the messages; no byte has been read yet
     */
    static <H, P> MessageStream<H, P> of(ChunkSource source, StreamDecoder<H, P> decoder) {
        return new SourceStream<>(decoder, source);
    }

    /**
     * Waits for the next message.
     *
     * @return {@code null} at the end
     * @throws ObjectStreamException as described for the class
     * @throws CancellationException if the stream is closed before its end, or the thread is interrupted
     */
    Message<H, P> read();

    /**
     * The messages that were not read yet. Every {@code for} continues where the one before it stopped.
     *
     * @return an iterator whose {@code hasNext} waits, and throws the exceptions of {@link #read()}
     */
    @Override
    default Iterator<Message<H, P>> iterator() {
        return new Iterator<>() {
            private Message<H, P> next;

            @Override
            public boolean hasNext() {
                if (next == null) {
                    next = read();
                }
                return next != null;
            }

            @Override
            public Message<H, P> next() {
                if (!hasNext()) {
                    throw new NoSuchElementException();
                }
                Message<H, P> message = next;
                next = null;
                return message;
            }
        };
    }

    /**
     * The messages that were not read yet, as a stream of {@code java.util.stream}.
     *
     * @return a sequential, ordered stream; closing it closes this
     */
    default Stream<Message<H, P>> stream() {
        int characteristics = Spliterator.ORDERED | Spliterator.NONNULL;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(iterator(), characteristics), false)
                .onClose(this::close);
    }

    /** Closes the source, also before the end. A thread that is reading gets a {@link CancellationException}. */
    @Override
    void close();

    /**
     * The number of messages received, those with a refused payload included.
     *
     * @return the position to resume from
     */
    long position();

    /**
     * The trailers of the end frame.
     *
     * @return the trailers, empty before the end
     */
    Optional<Map<String, Object>> trailers();

    /**
     * The metadata of the open frame, which comes before the first message.
     *
     * @return the metadata, empty if there is none
     */
    Map<String, Object> metadata();

    /**
     * The heartbeat that the open frame announced: the peer sends something at least this often.
     *
     * @return the heartbeat, empty if there is none
     */
    Optional<Duration> heartbeat();
}
