package io.github.objectstreaming.http;

import io.github.objectstreaming.ChunkSource;
import io.github.objectstreaming.IdleTimeoutException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** The body of a response. */
interface Body extends ChunkSource {
    /** Sets the timeout of each read, and the position of the stream for the exception. */
    void within(Supplier<Duration> limit, LongSupplier position);

    /** The first bytes of a body that is not a stream, as many as arrive in time. Closes the body. */
    default byte[] beginning(int size, Duration time) {
        ByteArrayOutputStream beginning = new ByteArrayOutputStream();
        long latest = System.nanoTime() + time.toNanos();
        within(() -> Duration.ofNanos(Math.max(0, latest - System.nanoTime())), () -> 0);
        try (Body closing = this) {
            for (ByteBuffer chunk; beginning.size() < size && (chunk = closing.read()) != null; ) {
                byte[] bytes = new byte[Math.min(chunk.remaining(), size - beginning.size())];
                chunk.get(bytes);
                beginning.writeBytes(bytes);
            }
        } catch (IOException | IdleTimeoutException error) {
            // the bytes that have arrived are the beginning
        }
        return beginning.toByteArray();
    }
}
