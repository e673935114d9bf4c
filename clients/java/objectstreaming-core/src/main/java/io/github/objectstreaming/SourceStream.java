package io.github.objectstreaming;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;

/** The messages that a decoder makes of the bytes of a source. */
final class SourceStream<H, P> implements MessageStream<H, P> {
    private static final int CHUNK = 64 << 10;

    private final StreamDecoder<H, P> decoder;
    private final ChunkSource source;
    private RuntimeException failure;
    private boolean over;
    private volatile boolean closed;

    SourceStream(StreamDecoder<H, P> decoder, ChunkSource source) {
        this.decoder = decoder;
        this.source = source;
    }

    static ChunkSource chunks(InputStream in) {
        byte[] chunk = new byte[CHUNK];
        return new ChunkSource() {
            @Override
            public ByteBuffer read() throws IOException {
                int size = in.read(chunk);
                return size < 0 ? null : ByteBuffer.wrap(chunk, 0, size);
            }

            @Override
            public void close() throws IOException {
                in.close();
            }
        };
    }

    @Override
    public Message<H, P> read() {
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
            throw failed(truncated.because(error));
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

    @Override
    public void close() {
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

    @Override
    public long position() {
        return decoder.position();
    }

    @Override
    public Optional<Map<String, Object>> trailers() {
        return decoder.trailers();
    }

    @Override
    public Map<String, Object> metadata() {
        return decoder.metadata();
    }

    @Override
    public Optional<Duration> heartbeat() {
        return decoder.heartbeat();
    }
}
