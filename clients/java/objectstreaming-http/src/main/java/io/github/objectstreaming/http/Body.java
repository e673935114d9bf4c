package io.github.objectstreaming.http;

import io.github.objectstreaming.ChunkSource;
import java.time.Duration;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** The body of a response. */
interface Body extends ChunkSource {
    /** Sets the timeout of each read, and the position of the stream for the exception. */
    void within(Supplier<Duration> limit, LongSupplier position);

    /** The first bytes of a body that is not a stream, as many as arrive in time. Closes the body. */
    byte[] beginning(int size, Duration time);
}
