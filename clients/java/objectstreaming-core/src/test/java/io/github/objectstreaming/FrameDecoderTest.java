package io.github.objectstreaming;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FrameDecoderTest {
    private static final byte[] GOLDEN = HexFormat.of().parseHex("18000000080000007b2261223a20317d7b2262223a20327d");

    private static byte[] hex(String text) {
        return HexFormat.of().parseHex(text.replace(" ", ""));
    }

    @Test
    void aFrameIsWrittenAndRead() {
        assertArrayEquals(
                GOLDEN, Frame.of(ascii("{\"a\": 1}"), ascii("{\"b\": 2}")).toBytes());
        FrameDecoder decoder = new FrameDecoder();
        decoder.feed(GOLDEN);
        Frame frame = decoder.next();
        assertEquals(Map.of("a", 1L), frame.header());
        assertArrayEquals(ascii("{\"b\": 2}"), frame.payload());
        assertEquals("frame 0 at byte 0: {\"a\": 1} + 8 bytes", frame.toString());
        assertNull(decoder.next());
        decoder.finish();
        assertNull(decoder.next());
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    @Test
    void indexesOffsetsAndCounts() {
        FrameDecoder decoder = new FrameDecoder();
        decoder.feed(GOLDEN);
        decoder.feed(Arrays.copyOf(GOLDEN, 9));
        assertEquals(33, decoder.buffered());
        decoder.next();
        assertEquals(1, decoder.position());
        assertEquals(24, decoder.offset());
        assertEquals(9, decoder.buffered());
        decoder.feed(Arrays.copyOfRange(GOLDEN, 9, 24));
        Frame second = decoder.next();
        assertEquals(1, second.index());
        assertEquals(24, second.offset());
    }

    @Test
    void aDirectBufferCanBeUsedAgainAtOnce() {
        ByteBuffer buffer = ByteBuffer.allocateDirect(7);
        FrameDecoder decoder = new FrameDecoder();
        for (int at = 0; at < GOLDEN.length; at += 7) {
            buffer.clear().put(GOLDEN, at, Math.min(7, GOLDEN.length - at)).flip();
            decoder.feed(buffer);
            assertEquals(0, buffer.remaining());
            buffer.clear().put(new byte[7]);
        }
        assertArrayEquals(GOLDEN, decoder.next().toBytes());
    }

    @Test
    void framesThatWereNotReadStayInTheDecoder() {
        FrameDecoder decoder = new FrameDecoder();
        for (int n = 0; n < 100; n++) {
            decoder.feed(Frame.of(Map.of("n", n), new byte[n]).toBytes());
        }
        for (int n = 0; n < 50; n++) {
            assertEquals(Map.of("n", (long) n), decoder.next().header());
        }
        decoder.feed(GOLDEN);
        decoder.finish();
        assertEquals(50, decoder.position());
        for (int n = 50; n < 100; n++) {
            assertEquals(n, decoder.next().payload().length);
        }
        assertEquals(100, decoder.next().index());
        assertNull(decoder.next());
    }

    @Test
    void feedAfterFinishThrows() {
        FrameDecoder decoder = new FrameDecoder();
        decoder.finish();
        assertThrows(IllegalStateException.class, () -> decoder.feed(GOLDEN));
    }

    @Test
    void validFramesComeBeforeTheExceptionWhichIsThenThrownAgain() {
        FrameDecoder decoder = new FrameDecoder();
        decoder.feed(GOLDEN);
        decoder.feed(hex("00000000 ff"));
        assertArrayEquals(GOLDEN, decoder.next().toBytes());
        FrameException error = assertThrows(FrameException.class, decoder::next);
        assertEquals(FrameException.INVALID_LENGTH, error.code());
        assertEquals(1, error.index());
        assertEquals(24, error.offset());
        assertSame(error, assertThrows(FrameException.class, decoder::next));
        assertSame(error, assertThrows(FrameException.class, () -> decoder.feed(GOLDEN)));
        assertSame(error, assertThrows(FrameException.class, decoder::finish));
        assertEquals(0, decoder.buffered());
    }

    @Test
    void aCutIsReportedAfterTheFramesThatWereNotReadBefore() {
        FrameDecoder decoder = new FrameDecoder();
        decoder.feed(GOLDEN);
        decoder.feed(new byte[] {9});
        decoder.finish();
        assertArrayEquals(GOLDEN, decoder.next().toBytes());
        assertEquals(
                FrameException.TRUNCATED_FRAME,
                assertThrows(FrameException.class, decoder::next).code());
    }

    @ParameterizedTest
    @CsvSource({
        "3c68746d, an error page?",
        "48545450, an HTTP response with its head still on?",
        "1f8b0880, gzip: was its Content-Encoding not undone?",
        "64617461, server-sent events?",
        "7b226465, JSON without frames?",
        "52494646, a WAV file instead of frames?",
        "48656c6c, text instead of frames?",
    })
    void theMessageNamesTheLikelyCause(String start, String cause) {
        FrameDecoder decoder = new FrameDecoder();
        decoder.feed(hex(start));
        String message = assertThrows(FrameException.class, decoder::next).getMessage();
        assertTrue(message.contains(cause), message);
    }

    @ParameterizedTest
    @CsvSource({"1, false", "2, true", "3, true", "3, false", "4, true", "8, false", "8, true"})
    void otherLayoutsAreWrittenAndRead(int width, boolean big) {
        Layout layout = new Layout(width, big ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN);
        Frame frame = Frame.of(Map.of("n", 1), new byte[] {1, 2, 3});
        FrameDecoder decoder = new FrameDecoder(Limits.DEFAULT, layout);
        decoder.feed(frame.toBytes(layout));
        assertEquals(frame, decoder.next());
    }

    @Test
    void aFrameTooLongForItsLengthWordIsRefused() {
        Layout narrow = new Layout(1, ByteOrder.LITTLE_ENDIAN);
        Frame frame = Frame.of(Map.of(), new byte[252]);
        assertThrows(EncodeException.class, () -> frame.toBytes(narrow));
        assertThrows(IllegalArgumentException.class, () -> new Layout(9, ByteOrder.LITTLE_ENDIAN));
    }

    @Test
    void theLargestLengthWordOfEightBytesIsRefused() {
        FrameDecoder decoder = new FrameDecoder(Limits.DEFAULT, new Layout(8, ByteOrder.LITTLE_ENDIAN));
        decoder.feed(hex("ffffffffffffffff"));
        FrameException error = assertThrows(FrameException.class, decoder::next);
        assertEquals(FrameException.FRAME_TOO_LARGE, error.code());
        assertTrue(error.getMessage().contains("18446744073709551615"));
    }

    @Test
    void aFrameIsWrittenInTwoPartsForAGatheringChannel() {
        ByteBuffer[] parts = Frame.of(ascii("{\"a\": 1}"), ascii("{\"b\": 2}")).toBuffers();
        ByteBuffer joined = ByteBuffer.allocate(24).put(parts[0]).put(parts[1]);
        assertArrayEquals(GOLDEN, joined.array());
    }

    // These tests count allocated bytes, which is exact, and measure no time.

    private static long allocated() {
        return ((com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }

    @Test
    void nothingIsAllocatedForALengthThatIsOnlyClaimed() {
        byte[] claim = hex("00000001 02000000 7b7d 00"); // T = 16 MiB
        long before = 0;
        for (int n = 0; n < 2; n++) { // the first run also loads classes
            before = allocated();
            FrameDecoder decoder = new FrameDecoder();
            decoder.feed(claim);
            assertNull(decoder.next());
        }
        assertTrue(allocated() - before < 8192);
    }

    @Test
    void oneByteChunksCostLinearAllocations() {
        byte[] wire = Frame.of(Map.of(), new byte[1 << 20]).toBytes();
        ByteBuffer chunk = ByteBuffer.wrap(wire);
        FrameDecoder decoder = new FrameDecoder();
        long before = allocated();
        Frame frame = null;
        for (int at = 0; at < wire.length; at++) {
            decoder.feed(chunk.limit(at + 1).position(at));
            frame = decoder.next();
            assertEquals(at == wire.length - 1, frame != null);
        }
        // The array grows by doubling, and the frame is copied: 4 MiB and 1 MiB.
        assertTrue(allocated() - before < 6 << 20, (allocated() - before) + " bytes");
    }

    @Test
    void memoryIsFlatOverALongStream() {
        byte[] wire = Frame.of(Map.of(), new byte[1 << 20]).toBytes();
        FrameDecoder decoder = new FrameDecoder();
        long before = allocated();
        for (int n = 0; n < 64; n++) {
            for (int at = 0; at < wire.length; at += 1460) {
                decoder.feed(ByteBuffer.wrap(wire, at, Math.min(1460, wire.length - at)));
                decoder.next();
            }
            assertEquals(n + 1, decoder.position());
        }
        decoder.finish();
        // The bytes of each frame, and the growth of the array of the decoder, which is released after each frame.
        assertTrue(allocated() - before < 64L * (6 << 20), (allocated() - before) + " bytes");
    }
}
