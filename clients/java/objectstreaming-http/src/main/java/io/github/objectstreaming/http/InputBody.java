package io.github.objectstreaming.http;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** A body that another client reads. Its timeouts are those of that client. */
final class InputBody implements Body {
    private static final int CHUNK = 64 << 10;

    private final InputStream input;
    private final byte[] chunk = new byte[CHUNK];

    InputBody(InputStream input) {
        this.input = input;
    }

    @Override
    public void within(Supplier<Duration> limit, LongSupplier position) {
        // an input stream cannot be read with a timeout
    }

    @Override
    public ByteBuffer read() throws IOException {
        int size = input.read(chunk);
        return size < 0 ? null : ByteBuffer.wrap(chunk, 0, size);
    }

    @Override
    public void close() throws IOException {
        input.close();
    }
}
