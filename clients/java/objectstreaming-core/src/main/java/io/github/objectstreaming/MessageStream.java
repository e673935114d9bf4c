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
 * The messages of one stream, in order, as they arrive; reading blocks until there is one.
 *
 * <pre>{@code
 * try (MessageStream<TalAudio, Pcm> speech = MessageStream.of(file, new TalCoder())) {
 *     for (Message<TalAudio, Pcm> message : speech) {
 *         play(message.payload());
 *     }
 * }
 * }</pre>
 *
 * <p>Reading throws as {@link StreamDecoder} does, and what breaks the connection becomes {@code truncated_frame}
 * inside a frame and {@code stream_incomplete} between two, after every message that was whole. Once the end frame has
 * come the stream is whole, whatever then happens to the connection. After a {@link PayloadException} reading goes on
 * with the next frame; any other exception is thrown again. One thread reads; any may {@link #close()}.
 *
 * @param <H> what the coder makes of headers
 * @param <P> what the coder makes of payloads
 */
public class MessageStream<H, P> implements Iterable<Message<H, P>>, AutoCloseable {
    private static final int CHUNK = 64 << 10;

    private final StreamDecoder<H, P> decoder;
    private final ChunkSource source;
    private RuntimeException failure;
    private boolean over;
    private volatile boolean closed;

    /**
     * The messages in a source of chunks.
     *
     * @param decoder what reads them
     * @param source where the bytes come from; closed at the end, and by {@link #close()}
     */
    public MessageStream(StreamDecoder<H, P> decoder, ChunkSource source) {
        this.decoder = decoder;
        this.source = source;
    }

    /**
     * The messages in an input stream.
     *
     * @param <H> what the coder makes of headers
     * @param <P> what the coder makes of payloads
     * @param in closed at the end, and by {@link #close()}
     * @param coder what reads the messages
     * @return nothing has been read of it yet
     */
    public static <H, P> MessageStream<H, P> of(InputStream in, Coder<H, P> coder) {
        return of(in, new StreamDecoder<>(coder));
    }

    /**
     * The messages in an input stream, with limits and an end policy of your own.
     *
     * @param <H> what the coder makes of headers
     * @param <P> what the coder makes of payloads
     * @param in closed at the end, and by {@link #close()}
     * @param decoder a new one
     * @return nothing has been read of it yet
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
     * @throws ObjectStreamException as the class says
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

    /** The bytes stopped in a way that is not their end: throws what this means, or nothing, if all had come. */
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
            throw failed(new IdleTimeoutException("nothing arrived in time, after " + position + " frames", position));
        }
        try {
            decoder.finish();
        } catch (FrameException truncated) {
            truncated.addSuppressed(error);
            throw failed(truncated);
        } catch (StreamIncompleteException expected) {
            // said below, with the cause
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
     * The messages from where the reading stands, once: every {@code for} goes on where the one before it stopped.
     *
     * @return its {@code hasNext} waits, and throws as {@link #read()} does
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
     * The messages from where the reading stands, as a stream of {@code java.util.stream}.
     *
     * @return sequential and ordered; closing it closes this
     */
    public final Stream<Message<H, P>> stream() {
        int characteristics = Spliterator.ORDERED | Spliterator.NONNULL;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(iterator(), characteristics), false)
                .onClose(this::close);
    }

    /** Lets go of the source, wherever the reading stands. A thread that reads gets a {@link CancellationException}. */
    @Override
    public final void close() {
        closed = true;
        closeQuietly();
    }

    private void closeQuietly() {
        try {
            source.close();
        } catch (IOException ignored) {
            // of no use to a reader who has gone
        }
    }

    /**
     * How many messages have come, those with a refused payload included: what to resume after.
     *
     * @return the position
     */
    public final long position() {
        return decoder.position();
    }

    /**
     * What the peer sent with the end of the stream.
     *
     * @return empty before it came
     */
    public final Optional<Map<String, Object>> trailers() {
        return decoder.trailers();
    }

    /**
     * What the peer sent with the open frame, which comes before the first message.
     *
     * @return empty if there was none
     */
    public final Map<String, Object> metadata() {
        return decoder.metadata();
    }

    /**
     * Within what time the peer promised to be heard.
     *
     * @return empty if it has not said so
     */
    public final Optional<Duration> heartbeat() {
        return decoder.heartbeat();
    }
}
