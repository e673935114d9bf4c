package io.github.objectstreaming;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
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
public class MessageStream<H, P> implements Iterable<Message<H, P>>, AutoCloseable {
    private static final int CHUNK = 64 << 10;

    private final StreamDecoder<H, P> decoder;
    private final ChunkSource source;
    private RuntimeException failure;
    private boolean over;
    private volatile boolean closed;

    /**
     * The messages of a source of chunks.
     *
     * @param decoder reads the messages
     * @param source the source of the bytes; closed at the end, and by {@link #close()}
     */
    public MessageStream(StreamDecoder<H, P> decoder, ChunkSource source) {
        this.decoder = decoder;
        this.source = source;
    }

    /**
     * The messages of an input stream.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param in closed at the end, and by {@link #close()}
     * @param coder reads the messages
     * @return the messages; no byte has been read yet
     */
    public static <H, P> MessageStream<H, P> of(InputStream in, Coder<H, P> coder) {
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
    public static <H, P> MessageStream<H, P> of(InputStream in, StreamDecoder<H, P> decoder) {
        byte[] chunk = new byte[CHUNK];
        return new MessageStream<>(decoder, new ChunkSource() {
            @Override
            public ByteBuffer read() throws IOException {
                int size = in.read(chunk);
                return size < 0 ? null : ByteBuffer.wrap(chunk, 0, size);
            }

            @Override
            public void close() throws IOException {
                in.close();
            }
        });
    }

    /**
     * Waits for the next message.
     *
     * @return {@code null} at the end
     * @throws ObjectStreamException as described for the class
     * @throws CancellationException if the stream is closed before its end, or the thread is interrupted
     */
    public final Message<H, P> read() {
        if (failure != null) {
            throw failure;
        }
        while (!over) {
            if (closed) {
                throw new CancellationException("the stream was closed before its end");
            }
            try {
                Message<H, P> message = decoder.next();
                if (message != null) {
                    return message;
                }
                ByteBuffer chunk = source.read();
                if (chunk != null) {
                    decoder.feed(chunk);
                } else {
                    decoder.finish();
                    over = true;
                }
            } catch (PayloadException refused) {
                throw refused;
            } catch (IOException | IdleTimeoutException error) {
                broken(error);
            } catch (ObjectStreamException error) {
                throw failed(error);
            }
        }
        closeQuietly();
        return null;
    }

    /** Throws the exception for a source that failed. Throws nothing if the stream was whole before. */
    private void broken(Exception error) {
        if (closed) {
            throw new CancellationException("the stream was closed before its end");
        }
        if (error instanceof ClosedByInterruptException
                || error instanceof InterruptedIOException && !(error instanceof SocketTimeoutException)) {
            throw failed(new CancellationException("the thread was interrupted"));
        }
        if (decoder.ended() && decoder.buffered() == 0) {
            over = true;
            return;
        }
        long position = decoder.position();
        if (error instanceof IdleTimeoutException silence) {
            throw failed(silence);
        }
        if (error instanceof SocketTimeoutException) {
            throw failed(new IdleTimeoutException(
                    "nothing arrived in time, not even a ping, after " + position + " data frames", position));
        }
        try {
            decoder.finish();
        } catch (FrameException truncated) {
            truncated.addSuppressed(error);
            throw failed(truncated);
        } catch (StreamIncompleteException expected) {
            // thrown below, with the cause
        }
        throw failed(new StreamIncompleteException(
                "the connection was cut after " + position + " data frames: " + error, position, error));
    }

    private RuntimeException failed(RuntimeException error) {
        failure = error;
        closeQuietly();
        return error;
    }

    /**
     * The messages that were not read yet. Every {@code for} continues where the one before it stopped.
     *
     * @return an iterator whose {@code hasNext} waits, and throws the exceptions of {@link #read()}
     */
    @Override
    public final Iterator<Message<H, P>> iterator() {
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
    public final Stream<Message<H, P>> stream() {
        int characteristics = Spliterator.ORDERED | Spliterator.NONNULL;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(iterator(), characteristics), false)
                .onClose(this::close);
    }

    /** Closes the source, also before the end. A thread that is reading gets a {@link CancellationException}. */
    @Override
    public final void close() {
        closed = true;
        closeQuietly();
    }

    private void closeQuietly() {
        try {
            source.close();
        } catch (IOException ignored) {
            // the reader no longer needs it
        }
    }

    /**
     * The number of messages received, those with a refused payload included.
     *
     * @return the position to resume from
     */
    public final long position() {
        return decoder.position();
    }

    /**
     * The trailers of the end frame.
     *
     * @return the trailers, empty before the end
     */
    public final Optional<Map<String, Object>> trailers() {
        return decoder.trailers();
    }

    /**
     * The metadata of the open frame, which comes before the first message.
     *
     * @return the metadata, empty if there is none
     */
    public final Map<String, Object> metadata() {
        return decoder.metadata();
    }

    /**
     * The heartbeat that the open frame announced: the peer sends something at least this often.
     *
     * @return the heartbeat, empty if there is none
     */
    public final Optional<Duration> heartbeat() {
        return decoder.heartbeat();
    }
}
