package io.github.objectstreaming;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Where a {@link MessageStream} has its bytes from: an input stream, the body of a response, a WebSocket's messages. */
public interface ChunkSource extends Closeable {
    /**
     * Waits for the next bytes.
     *
     * @return some bytes, or none; {@code null} at the end. The buffer is used up before the next call.
     * @throws IOException if the connection was cut; an {@link java.io.InterruptedIOException} if the wait was
     *     interrupted
     */
    ByteBuffer read() throws IOException;
}
