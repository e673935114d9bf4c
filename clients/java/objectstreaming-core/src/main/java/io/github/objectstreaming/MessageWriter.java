package io.github.objectstreaming;

import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.WritableByteChannel;
import java.time.Duration;
import java.util.Map;

/**
 * Writes the messages of one stream to an output stream or a channel, each at once.
 *
 * <pre>{@code
 * try (MessageWriter<TalAudio, Pcm> speech = MessageWriter.of(out, new TalCoder())) {
 *     speech.open(Duration.ofSeconds(15), Map.of());
 *     speech.write(header, samples);
 *     speech.end(Map.of());
 * }
 * }</pre>
 *
 * <p>A message that cannot be sent is an {@link EncodeException}, and nothing was written. After an exception of the output, which
 * may have cut a frame, nothing can be written any more. Several threads may use a writer: one can send messages while
 * another one sends pings. Closing without {@link #end} leaves a stream that its reader knows to be cut, if it was opened.
 *
 * @param <H> the type of headers
 * @param <P> the type of payloads
 */
public final class MessageWriter<H, P> implements Closeable {
    /** Makes the bytes to write. */
    private interface Part {
        byte[] bytes();
    }

    private final StreamEncoder<H, P> encoder;
    private final OutputStream out;
    private Exception failure;

    private MessageWriter(OutputStream out, StreamEncoder<H, P> encoder) {
        this.out = out;
        this.encoder = encoder;
    }

    /**
     * Writes to an output stream, which is flushed after each frame.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param out closed by {@link #close()}
     * @param coder writes the messages
     * @return a writer; no byte has been written yet
     */
    public static <H, P> MessageWriter<H, P> of(OutputStream out, Coder<H, P> coder) {
        return of(out, new StreamEncoder<>(coder));
    }

    /**
     * Writes a stream with other limits, or a plain one, to an output stream.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param out closed by {@link #close()}
     * @param encoder a new encoder
     * @return a writer; no byte has been written yet
     */
    public static <H, P> MessageWriter<H, P> of(OutputStream out, StreamEncoder<H, P> encoder) {
        return new MessageWriter<>(out, encoder);
    }

    /**
     * Writes to a channel.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param channel a blocking one; closed by {@link #close()}
     * @param coder writes the messages
     * @return a writer; no byte has been written yet
     */
    public static <H, P> MessageWriter<H, P> of(WritableByteChannel channel, Coder<H, P> coder) {
        return of(Channels.newOutputStream(channel), coder);
    }

    /**
     * Writes the open frame, which comes first.
     *
     * @param heartbeat the reader receives something at least this often; {@code null} promises nothing
     * @param metadata an object of the application
     * @throws IOException if the output fails
     */
    public void open(Duration heartbeat, Map<String, ?> metadata) throws IOException {
        write(() -> encoder.open(heartbeat, metadata));
    }

    /**
     * Writes a message.
     *
     * @param header the header
     * @param payload the payload
     * @throws EncodeException if the message cannot be sent
     * @throws IOException if the output fails
     */
    public void write(H header, P payload) throws IOException {
        write(() -> encoder.data(header, payload));
    }

    /**
     * Writes a data frame that is encoded already, from another stream or an archive.
     *
     * @param frame the frame
     * @throws EncodeException if the frame cannot be sent
     * @throws IOException if the output fails
     */
    public void write(Frame frame) throws IOException {
        write(() -> encoder.frame(frame));
    }

    /**
     * Writes a ping, which shows the reader that the stream is alive.
     *
     * @throws IOException if the output fails
     */
    public void ping() throws IOException {
        write(encoder::ping);
    }

    /**
     * Writes the end frame, which comes last: success.
     *
     * @param trailers an object of the application
     * @throws IOException if the output fails
     */
    public void end(Map<String, ?> trailers) throws IOException {
        write(() -> encoder.end(trailers));
    }

    /**
     * Writes the end frame, which comes last: the stream has failed.
     *
     * @param error what the reader is told
     * @throws IOException if the output fails
     */
    public void fail(StreamException error) throws IOException {
        write(() -> encoder.end(Map.of(), error));
    }

    private synchronized void write(Part part) throws IOException {
        if (failure != null) {
            throw new IOException("a write has failed before", failure);
        }
        byte[] bytes = part.bytes();
        try {
            out.write(bytes);
            out.flush();
        } catch (IOException | RuntimeException error) { // some servers throw an IllegalStateException
            failure = error;
            throw error;
        }
    }

    /**
     * Closes the output. Writes nothing.
     *
     * @throws IOException if the output throws it
     */
    @Override
    public void close() throws IOException {
        out.close();
    }
}
