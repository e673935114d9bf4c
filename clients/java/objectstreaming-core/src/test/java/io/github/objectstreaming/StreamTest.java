package io.github.objectstreaming;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;

class StreamTest {
    private static final RawCoder RAW = new RawCoder();

    private static byte[] join(byte[]... parts) {
        ByteArrayOutputStream joined = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            joined.writeBytes(part);
        }
        return joined.toByteArray();
    }

    private static byte[] wholeStream() {
        StreamEncoder<Map<String, Object>, byte[]> encoder = new StreamEncoder<>(RAW);
        return join(
                encoder.open(Duration.ofMillis(1500), Map.of("id", "q7")),
                encoder.ping(),
                encoder.data(Map.of("n", 1), new byte[] {1}),
                encoder.data(Map.of("n", 2), new byte[] {2, 2}),
                encoder.end(Map.of("tokens", 7)));
    }

    private static MessageStream<Map<String, Object>, byte[]> reading(byte[] wire) {
        return MessageStream.of(new ByteArrayInputStream(wire), RAW);
    }

    @Test
    void aStreamIsWrittenAndRead() {
        MessageStream<Map<String, Object>, byte[]> stream = reading(wholeStream());
        List<Object> numbers = new ArrayList<>();
        for (Message<Map<String, Object>, byte[]> message : stream) {
            numbers.add(message.header().get("n"));
            assertEquals(numbers.size(), message.payload().length);
        }
        assertEquals(List.of(1L, 2L), numbers);
        assertEquals(2, stream.position());
        assertEquals(Map.of("id", "q7"), stream.metadata());
        assertEquals(Duration.ofMillis(1500), stream.heartbeat().orElseThrow());
        assertEquals(Map.of("tokens", 7L), stream.trailers().orElseThrow());
        assertNull(stream.read());
    }

    @Test
    void aStreamIsReadAsAJavaStream() {
        assertEquals(
                List.of(1, 2),
                reading(wholeStream()).stream()
                        .map(message -> message.payload().length)
                        .toList());
    }

    @Test
    void aCutAtAnyByteIsAnErrorAfterTheWholeMessages() {
        byte[] wire = wholeStream();
        for (int size = 1; size < wire.length; size++) {
            MessageStream<Map<String, Object>, byte[]> stream = reading(Arrays.copyOf(wire, size));
            List<Object> messages = new ArrayList<>();
            ObjectStreamException error =
                    assertThrows(ObjectStreamException.class, () -> stream.forEach(messages::add));
            assertTrue(List.of("truncated_frame", "stream_incomplete").contains(error.code()), error.code());
            assertEquals(messages.size(), stream.position());
            assertFalse(stream.trailers().isPresent());
            assertSame(error, assertThrows(ObjectStreamException.class, stream::read));
        }
    }

    @Test
    void theErrorOfThePeerComesAfterItsMessages() {
        StreamEncoder<Map<String, Object>, byte[]> encoder = new StreamEncoder<>(RAW);
        StreamException reported = new StreamException(StreamErrorCode.UNAVAILABLE, "busy", List.of(1L));
        MessageStream<Map<String, Object>, byte[]> stream =
                reading(join(encoder.data(Map.of(), new byte[0]), encoder.end(Map.of("a", 1), reported)));
        assertTrue(stream.iterator().hasNext());
        StreamException error = assertThrows(StreamException.class, stream::read);
        assertEquals(StreamErrorCode.UNAVAILABLE, error.error());
        assertEquals("unavailable: busy", error.getMessage());
        assertEquals("busy", error.text());
        assertEquals(List.of(1L), error.details());
        assertEquals(Map.of("a", 1L), stream.trailers().orElseThrow());
    }

    @Test
    void aStreamIsWholeAfterItsEndAlthoughTheConnectionBreaks() {
        MessageStream<Map<String, Object>, byte[]> stream =
                MessageStream.of(new BreakingStream(wholeStream(), new IOException("reset")), RAW);
        assertEquals(2, stream.stream().count());
        assertTrue(stream.trailers().isPresent());
    }

    @Test
    void theExceptionOfTheSourceIsTheCause() {
        byte[] wire = wholeStream();
        IOException reset = new IOException("reset");
        int end = wire.length - new StreamEncoder<>(RAW).end(Map.of("tokens", 7)).length;
        ObjectStreamException between = readingAll(Arrays.copyOf(wire, end), reset);
        assertEquals("stream_incomplete", between.code());
        assertEquals(2, ((StreamIncompleteException) between).position());
        assertSame(reset, between.getCause());
        ObjectStreamException inside = readingAll(Arrays.copyOf(wire, end + 3), reset);
        assertEquals("truncated_frame", inside.code());
        assertSame(reset, inside.getCause());
        assertEquals(
                "idle_timeout",
                readingAll(Arrays.copyOf(wire, end), new SocketTimeoutException())
                        .code());
    }

    private static ObjectStreamException readingAll(byte[] wire, IOException then) {
        MessageStream<?, ?> stream = MessageStream.of(new BreakingStream(wire, then), RAW);
        return assertThrows(ObjectStreamException.class, () -> stream.forEach(message -> {}));
    }

    @Test
    void aPlainStreamWhoseSourceFailsIsCut() {
        byte[] wire = StreamEncoder.plain(RAW).data(Map.of(), new byte[1]);
        assertEquals(
                "stream_incomplete", readingAll(wire, new IOException("reset")).code());
        assertEquals(1, reading(wire).stream().count());
    }

    @Test
    void anInterruptIsNotACut() {
        MessageStream<?, ?> stream =
                MessageStream.of(new BreakingStream(new byte[0], new InterruptedIOException()), RAW);
        assertThrows(CancellationException.class, stream::read);
    }

    @Test
    void aStreamThatWasClosedEarlyDoesNotLookWhole() {
        MessageStream<?, ?> stream = reading(wholeStream());
        Iterator<?> messages = stream.iterator();
        messages.next();
        stream.close();
        assertThrows(CancellationException.class, messages::hasNext);
    }

    /** Returns its bytes, then throws. */
    private static final class BreakingStream extends InputStream {
        private final InputStream bytes;
        private final IOException then;

        BreakingStream(byte[] bytes, IOException then) {
            this.bytes = new ByteArrayInputStream(bytes);
            this.then = then;
        }

        @Override
        public int read() throws IOException {
            throw then;
        }

        @Override
        public int read(byte[] into, int at, int size) throws IOException {
            int got = bytes.read(into, at, size);
            if (got < 0) {
                throw then;
            }
            return got;
        }
    }

    @Test
    void anEndFrameIsRequiredOrOptional() {
        byte[] data = StreamEncoder.plain(RAW).data(Map.of(), new byte[0]);
        StreamDecoder<?, ?> required = new StreamDecoder<>(RAW, Limits.DEFAULT, EndPolicy.REQUIRED);
        required.feed(data);
        required.next();
        assertThrows(StreamIncompleteException.class, required::finish);
        StreamDecoder<?, ?> optional = new StreamDecoder<>(RAW, Limits.DEFAULT, EndPolicy.OPTIONAL);
        optional.feed(new StreamEncoder<>(RAW).open());
        assertNull(optional.next());
        optional.finish();
        assertFalse(optional.ended());
    }

    @Test
    void theEncoderFollowsTheTable() {
        StreamEncoder<Map<String, Object>, byte[]> encoder = new StreamEncoder<>(RAW);
        encoder.ping();
        assertThrows(EncodeException.class, encoder::open);
        encoder.end();
        assertThrows(EncodeException.class, encoder::end);
        assertThrows(EncodeException.class, encoder::ping);
        assertThrows(EncodeException.class, () -> encoder.data(Map.of(), new byte[0]));
        assertThrows(EncodeException.class, () -> StreamEncoder.plain(RAW).ping());
        assertThrows(EncodeException.class, () -> new StreamEncoder<>(RAW).open(Duration.ZERO, Map.of()));
    }

    @Test
    void anEncoderThatRefusedAFrameHasNotChanged() {
        StreamEncoder<Map<String, Object>, byte[]> encoder = new StreamEncoder<>(RAW).withLimits(new Limits(64, 32));
        assertThrows(EncodeException.class, () -> encoder.data(Map.of("$stream", Map.of("type", "end")), new byte[0]));
        assertThrows(EncodeException.class, () -> encoder.data(Map.of(), new byte[55]));
        assertThrows(EncodeException.class, () -> encoder.data(Map.of("pad", "x".repeat(32)), new byte[0]));
        assertThrows(EncodeException.class, () -> encoder.data(Map.of("x", Double.NaN), new byte[0]));
        assertThrows(EncodeException.class, () -> encoder.data(Map.of("x", "\ud800"), new byte[0]));
        assertThrows(EncodeException.class, () -> encoder.data(Map.of("x", new Object()), new byte[0]));
        assertThrows(EncodeException.class, () -> encoder.open(null, Map.of("pad", "x".repeat(32))));
        assertThrows(EncodeException.class, () -> encoder.end(Map.of("pad", "x".repeat(32))));
        assertEquals(0, encoder.position());
        Frame escaped = frame("{\"\\u0024stream\":{}}");
        assertThrows(EncodeException.class, () -> encoder.frame(escaped));
        assertThrows(EncodeException.class, () -> new StreamEncoder<>(passing()).data(escaped, null));
        assertThrows(EncodeException.class, () -> encoder.frame(frame("[]")));
        assertEquals(0, encoder.position());
        encoder.data(Map.of("a", Map.of("$stream", 1)), new byte[0]);
        assertEquals(1, encoder.position());
    }

    @Test
    void anErrorIsToldWithoutWhatIsBeyondTheLimits() {
        String text = "x".repeat(200);
        Map<String, StreamException> told = Map.of(
                "no", new StreamException(StreamErrorCode.INTERNAL, "no", List.of(text)),
                "the message of this error cannot be sent", new StreamException(StreamErrorCode.INTERNAL, text));
        told.forEach((message, error) -> {
            StreamEncoder<Map<String, Object>, byte[]> encoder =
                    new StreamEncoder<>(RAW).withLimits(new Limits(1024, 160));
            String end = new String(encoder.end(Map.of(), error), StandardCharsets.UTF_8);
            assertTrue(end.contains("{\"code\":\"internal\",\"message\":\"" + message + "\"}"), end);
        });
    }

    /** A frame whose header was not checked. */
    private static Frame frame(String header) {
        return Frame.ofUnchecked(header.getBytes(StandardCharsets.UTF_8), new byte[0]);
    }

    /** A coder that returns the frames it is given. */
    private static Coder<Frame, Void> passing() {
        return new Coder<>() {
            @Override
            public String name() {
                return "passing";
            }

            @Override
            public Frame encode(Frame header, Void payload) {
                return header;
            }

            @Override
            public Message<Frame, Void> decode(Frame frame) {
                return new Message<>(frame, null);
            }
        };
    }

    @Test
    void samplesAreWrittenAndRead() {
        TalAudio first = TalAudio.builder()
                .answer("Good morning.")
                .extra(Map.of("speaker", "Ann"))
                .build();
        TalAudio second = first.toBuilder().sign(TalAudio.Sign.END).order(2).build();
        short[] samples = {0, 1, -1, Short.MAX_VALUE, Short.MIN_VALUE};
        StreamEncoder<TalAudio, Pcm> encoder = new StreamEncoder<>(new TalCoder());
        byte[] wire = join(
                encoder.open(),
                encoder.data(first, Pcm.of(samples)),
                encoder.data(second, Pcm.of(new short[0])),
                encoder.end());
        try (MessageStream<TalAudio, Pcm> stream = MessageStream.of(new ByteArrayInputStream(wire), new TalCoder())) {
            Message<TalAudio, Pcm> message = stream.read();
            assertEquals(first, message.header());
            assertArrayEquals(samples, message.payload().toShorts());
            assertThrows(IllegalStateException.class, () -> message.payload().toInts());
            assertEquals(second, stream.read().header());
            assertNull(stream.read());
        }
    }

    @Test
    void samplesOf32BitsAreWrittenAndRead() {
        int[] samples = {0, -1, Integer.MAX_VALUE, Integer.MIN_VALUE};
        TalAudio header =
                TalAudio.builder().sampleType(SampleType.INT32).channels(2).build();
        Frame frame = new TalCoder().encode(header, Pcm.of(samples));
        assertArrayEquals(samples, new TalCoder().decode(frame).payload().toInts());
        assertThrows(EncodeException.class, () -> new TalCoder().encode(header, Pcm.of(1)));
        assertThrows(EncodeException.class, () -> new TalCoder().encode(header, Pcm.of((short) 1)));
    }

    @Test
    void membersOutOfRangeAreRefused() {
        assertThrows(
                EncodeException.class, () -> TalAudio.builder().sampleRate(0).build());
        assertThrows(
                EncodeException.class, () -> TalAudio.builder().channels(256).build());
        assertThrows(
                EncodeException.class, () -> TalAudio.builder().order(1L << 53).build());
        assertThrows(
                EncodeException.class, () -> TalAudio.builder().answer(null).build());
        assertThrows(
                EncodeException.class,
                () -> TalAudio.builder().extra(Map.of("sign", 1)).build());
        assertThrows(EncodeException.class, () -> TalAudio.of(Map.of("channels", 1L << 32 | 1)));
    }

    /** The result of decoding, as text. An undocumented exception fails the test. */
    private static <H, P> String decoded(Coder<H, P> coder, byte[] wire, int chunk) {
        StreamDecoder<H, P> decoder = new StreamDecoder<>(coder, new Limits(4096, 512), EndPolicy.AUTO);
        StringBuilder result = new StringBuilder();
        try {
            for (int at = 0; at < wire.length; at += chunk) {
                decoder.feed(ByteBuffer.wrap(wire, at, Math.min(chunk, wire.length - at)));
                takeAll(decoder, result);
                assertTrue(decoder.buffered() <= 4096 + chunk);
            }
            decoder.finish();
        } catch (ObjectStreamException error) {
            result.append(error);
        }
        return result.append(decoder.position()).append(decoder.trailers()).toString();
    }

    private static <H, P> void takeAll(StreamDecoder<H, P> decoder, StringBuilder messages) {
        while (true) {
            try {
                Message<H, P> message = decoder.next();
                if (message == null) {
                    return;
                }
                messages.append(message.header());
            } catch (PayloadException refused) {
                messages.append(refused);
            }
        }
    }

    @Test
    void damagedStreamsGiveTheSameDocumentedExceptionsForAllChunkings() {
        StreamEncoder<TalAudio, Pcm> encoder = new StreamEncoder<>(new TalCoder());
        byte[] speech = join(
                encoder.open(),
                encoder.data(TalAudio.DEFAULT, Pcm.of((short) 1, (short) 2)),
                encoder.data(
                        TalAudio.builder().order(2).sign(TalAudio.Sign.MIDDLE).build(), Pcm.of((short) 3)),
                encoder.end());
        Random random = new Random(20261120);
        for (int n = 0; n < 3000; n++) {
            byte[] wire = (n % 2 == 0 ? speech : wholeStream()).clone();
            for (int change = random.nextInt(4); change >= 0; change--) {
                wire[random.nextInt(wire.length)] =
                        (byte) (random.nextInt(5) == 0 ? random.nextInt(256) : '0' + random.nextInt(10));
            }
            for (Coder<?, ?> coder : List.of(RAW, new TalCoder())) {
                String whole = decoded(coder, wire, wire.length);
                assertEquals(whole, decoded(coder, wire, 1));
                assertEquals(whole, decoded(coder, wire, 1 + random.nextInt(50)));
            }
        }
    }
}
