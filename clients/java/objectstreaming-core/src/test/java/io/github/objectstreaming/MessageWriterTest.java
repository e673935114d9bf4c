package io.github.objectstreaming;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MessageWriterTest {
    /** Takes one byte at a time. */
    private static final class Channel implements WritableByteChannel {
        private final ByteArrayOutputStream written = new ByteArrayOutputStream();
        private boolean open = true;

        @Override
        public int write(ByteBuffer source) {
            written.write(source.get());
            return 1;
        }

        @Override
        public boolean isOpen() {
            return open;
        }

        @Override
        public void close() {
            open = false;
        }
    }

    private static void writeAll(MessageWriter<Map<String, Object>, byte[]> writer) throws IOException {
        try (writer) {
            writer.open(Duration.ofSeconds(15), Map.of("id", 7));
            writer.write(Map.of("n", 1), new byte[] {1});
            assertThrows(EncodeException.class, () -> writer.write(Map.of("$stream", 1), new byte[0]));
            writer.ping();
            writer.write(Frame.of(Map.of("n", 2), new byte[] {2}));
            writer.end(Map.of("tokens", 2));
            assertThrows(EncodeException.class, writer::ping);
        }
    }

    @Test
    void whatWasWrittenToAStreamOrAChannelIsReadAgain() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        writeAll(MessageWriter.of(out, new RawCoder()));
        Channel channel = new Channel();
        writeAll(MessageWriter.of(channel, new RawCoder()));
        assertArrayEquals(out.toByteArray(), channel.written.toByteArray());
        assertEquals(false, channel.isOpen());
        try (var stream = MessageStream.of(new ByteArrayInputStream(out.toByteArray()), new RawCoder())) {
            assertEquals(2, stream.stream().count());
            assertEquals(Map.of("tokens", 2L), stream.trailers().orElseThrow());
        }
    }

    @Test
    void anErrorIsToldWithTheEnd() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        MessageWriter.of(out, new RawCoder()).fail(new StreamException(StreamErrorCode.UNAVAILABLE, "later"));
        try (var stream = MessageStream.of(new ByteArrayInputStream(out.toByteArray()), new RawCoder())) {
            assertEquals(
                    "later", assertThrows(StreamException.class, stream::read).text());
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void nothingIsWrittenAfterAWriteThatFailed(boolean checked) {
        Exception reset = checked ? new IOException("reset") : new IllegalStateException("reset");
        boolean[] fails = {true};
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        var writer = MessageWriter.of(
                new OutputStream() {
                    @Override
                    public void write(int value) throws IOException {
                        if (fails[0] && reset instanceof IOException broken) {
                            throw broken;
                        }
                        if (fails[0]) {
                            throw (IllegalStateException) reset;
                        }
                        written.write(value);
                    }
                },
                new RawCoder());
        assertEquals(reset, assertThrows(reset.getClass(), writer::ping));
        fails[0] = false;
        assertEquals(reset, assertThrows(IOException.class, writer::ping).getCause());
        assertEquals(0, written.size());
    }
}
