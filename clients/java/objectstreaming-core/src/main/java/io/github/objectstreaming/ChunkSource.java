package io.github.objectstreaming;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/** The source of the bytes of a {@link MessageStream}: an input stream, the body of a response, the messages of a WebSocket. */
public interface ChunkSource extends Closeable {
    /**
     * Waits for the next bytes.
     *
     * @return bytes, or an empty buffer; {@code null} at the end. The buffer is used before the next call.
     * @throws IOException if the connection was cut; an {@link java.io.InterruptedIOException} if the wait was
     *     interrupted
     */
    ByteBuffer read() throws IOException;
}
