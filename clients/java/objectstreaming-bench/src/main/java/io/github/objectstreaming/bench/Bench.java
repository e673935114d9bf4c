package io.github.objectstreaming.bench;

import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import io.github.objectstreaming.Frame;
import io.github.objectstreaming.FrameDecoder;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.RawCoder;
import io.github.objectstreaming.StreamDecoder;
import io.github.objectstreaming.StreamEncoder;
import io.github.objectstreaming.json.JsonCoder;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToLongFunction;

/**
 * Workload T, 10,000 messages of {"status","reason"} + {"answer","source"} in chunks of 64 KiB, read by this client, and
 * by Netty's LengthFieldBasedFrameDecoder with Jackson, and as JSON lines. All run in one process; the results are medians of interleaved
 * rounds. Then the time of one-byte chunks, and the memory of a long stream.
 *
 * <p>{@code make bench}, in clients/java.
 */
public final class Bench {
    private static final int FRAMES = 10_000;
    private static final int ROUNDS = Integer.getInteger("rounds", 60);
    private static final int WARM_UP = 40;
    private static final int MOST = 16 << 20;

    private Bench() {}

    /**
     * Header of workload T.
     *
     * @param status success or not
     * @param reason why not
     */
    public record Status(String status, String reason) {}

    /**
     * Payload of workload T.
     *
     * @param answer a sentence
     * @param source where it is from
     */
    public record Answer(String answer, String source) {}

    /**
     * Measures, and prints a table.
     *
     * @param arguments none
     * @throws IOException never
     */
    public static void main(String[] arguments) throws IOException {
        List<byte[]> chunks = cut(workload(FRAMES), 64 << 10);
        Map<String, ToLongFunction<List<byte[]>>> contenders = new LinkedHashMap<>();
        contenders.put("typed: ours", Bench::ours);
        contenders.put("typed: netty + jackson", Bench::netty);
        contenders.put("typed: JSON lines, jackson", Bench::lines);
        contenders.put("framing only: ours", Bench::ourFrames);
        contenders.put("framing only: netty", Bench::nettyFrames);

        Map<String, long[]> times = new LinkedHashMap<>();
        contenders.keySet().forEach(name -> times.put(name, new long[ROUNDS]));
        for (int round = -WARM_UP; round < ROUNDS; round++) {
            for (Map.Entry<String, ToLongFunction<List<byte[]>>> contender : contenders.entrySet()) {
                long begun = System.nanoTime();
                long seen = contender.getValue().applyAsLong(chunks);
                long took = System.nanoTime() - begun;
                if (seen != FRAMES) {
                    throw new IllegalStateException(contender.getKey() + " saw " + seen + " messages");
                }
                if (round >= 0) {
                    times.get(contender.getKey())[round] = took;
                }
            }
        }
        System.out.printf("workload T, %d messages, medians of %d interleaved rounds%n", FRAMES, ROUNDS);
        times.forEach((name, samples) -> System.out.printf("  %-27s %7.0f ns a message%n", name, median(samples)));
        System.out.printf(
                "  ours / JSON lines: %.2f; ours / netty: typed %.2f, framing only %.2f%n",
                median(times.get("typed: ours")) / median(times.get("typed: JSON lines, jackson")),
                median(times.get("typed: ours")) / median(times.get("typed: netty + jackson")),
                median(times.get("framing only: ours")) / median(times.get("framing only: netty")));
        byteByByte();
        memory();
    }

    private static double median(long[] samples) {
        Arrays.sort(samples);
        return (double) samples[samples.length / 2] / FRAMES;
    }

    private static byte[] workload(int frames) {
        StreamEncoder<Status, Answer> encoder = StreamEncoder.plain(JsonCoder.of(Status.class, Answer.class));
        ByteArrayOutputStream wire = new ByteArrayOutputStream();
        for (int n = 0; n < frames; n++) {
            wire.writeBytes(encoder.data(new Status("success", ""), answer(n)));
        }
        return wire.toByteArray();
    }

    private static Answer answer(int n) {
        String text = "Sentence number " + n + " of the answer, as long as sentences are.";
        return new Answer(text, "guide.md#chapter-" + n % 17);
    }

    private static List<byte[]> cut(byte[] wire, int size) {
        List<byte[]> chunks = new ArrayList<>();
        for (int at = 0; at < wire.length; at += size) {
            chunks.add(Arrays.copyOfRange(wire, at, Math.min(wire.length, at + size)));
        }
        return chunks;
    }

    private static final JsonCoder<Status, Answer> CODER = JsonCoder.of(Status.class, Answer.class);

    private static long ours(List<byte[]> chunks) {
        StreamDecoder<Status, Answer> decoder = new StreamDecoder<>(CODER);
        long seen = 0;
        for (byte[] chunk : chunks) {
            decoder.feed(ByteBuffer.wrap(chunk));
            for (Message<Status, Answer> message; (message = decoder.next()) != null; ) {
                seen += message.payload().answer().isEmpty() ? 0 : 1;
            }
        }
        decoder.finish();
        return seen;
    }

    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final ObjectReader HEADERS = MAPPER.readerFor(Status.class);
    private static final ObjectReader PAYLOADS = MAPPER.readerFor(Answer.class);

    /**
     * A line.
     *
     * @param h the header
     * @param p the payload
     */
    public record Line(Status h, Answer p) {}

    private static final ObjectReader LINES = MAPPER.readerFor(Line.class);
    private static final byte[] LINES_OF_T = linesOf(FRAMES);

    private static byte[] linesOf(int frames) {
        ByteArrayOutputStream lines = new ByteArrayOutputStream();
        try {
            for (int n = 0; n < frames; n++) {
                lines.writeBytes(MAPPER.writeValueAsBytes(new Line(new Status("success", ""), answer(n))));
                lines.write('\n');
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return lines.toByteArray();
    }

    /** Jackson finds the ends of the lines itself; it has the whole text at once. */
    private static long lines(List<byte[]> ignored) {
        long seen = 0;
        try (MappingIterator<Line> lines = LINES.readValues(LINES_OF_T)) {
            while (lines.hasNextValue()) {
                seen += lines.nextValue().p().answer().isEmpty() ? 0 : 1;
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return seen;
    }

    /** Says whether a frame is as it should be. */
    private interface Check {
        boolean test(byte[] header, byte[] payload) throws IOException;
    }

    /** The usual way with Netty: the frame decoder, and a handler that copies the two parts out of each frame. */
    private static final class Handler extends ChannelInboundHandlerAdapter {
        private final Check check;
        private long seen;

        Handler(Check check) {
            this.check = check;
        }

        @Override
        public void channelRead(ChannelHandlerContext context, Object frame) {
            ByteBuf bytes = (ByteBuf) frame;
            try {
                byte[] header = new byte[bytes.skipBytes(4).readIntLE()];
                bytes.readBytes(header);
                byte[] payload = new byte[bytes.readableBytes()];
                bytes.readBytes(payload);
                seen += check.test(header, payload) ? 1 : 0;
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            } finally {
                bytes.release();
            }
        }
    }

    private static long netty(List<byte[]> chunks, Check check) {
        Handler handler = new Handler(check);
        EmbeddedChannel channel = new EmbeddedChannel(
                new LengthFieldBasedFrameDecoder(ByteOrder.LITTLE_ENDIAN, MOST, 0, 4, -4, 0, true), handler);
        for (byte[] chunk : chunks) {
            channel.writeInbound(Unpooled.wrappedBuffer(chunk));
        }
        channel.finish();
        return handler.seen;
    }

    private static long netty(List<byte[]> chunks) {
        return netty(chunks, (header, payload) -> {
            Status status = HEADERS.readValue(header);
            Answer answer = PAYLOADS.readValue(payload);
            return status != null && !answer.answer().isEmpty();
        });
    }

    private static long nettyFrames(List<byte[]> chunks) {
        return netty(chunks, (header, payload) -> payload.length > 0 && header.length > 0);
    }

    private static long ourFrames(List<byte[]> chunks) {
        FrameDecoder decoder = new FrameDecoder();
        long seen = 0;
        for (byte[] chunk : chunks) {
            decoder.feed(ByteBuffer.wrap(chunk));
            for (Frame frame; (frame = decoder.next()) != null; ) {
                seen += frame.payload().length > 0 ? 1 : 0;
            }
        }
        decoder.finish();
        return seen;
    }

    private static void byteByByte() {
        ThreadMXBean thread = ManagementFactory.getThreadMXBean();
        System.out.println("one-byte chunks, one frame: processor time");
        for (int size = 1 << 18; size <= 1 << 22; size <<= 1) {
            byte[] wire = StreamEncoder.plain(new RawCoder()).data(Map.of(), new byte[size]);
            long best = Long.MAX_VALUE;
            for (int round = 0; round < (size == 1 << 18 ? 40 : 5); round++) { // the first size warms up too
                FrameDecoder decoder = new FrameDecoder();
                ByteBuffer chunk = ByteBuffer.wrap(wire);
                // The time of this thread only, because long runs are interrupted more often than short ones.
                long begun = thread.getCurrentThreadCpuTime();
                Frame frame = null;
                for (int at = 0; at < wire.length; at++) {
                    decoder.feed(chunk.limit(at + 1).position(at));
                    frame = decoder.next();
                }
                best = Math.min(best, thread.getCurrentThreadCpuTime() - begun);
                if (frame == null) {
                    throw new IllegalStateException("no frame");
                }
            }
            System.out.printf("  %8d bytes %6.2f ns a byte%n", size, (double) best / wire.length);
        }
    }

    private static void memory() {
        byte[] wire = StreamEncoder.plain(new RawCoder()).data(Map.of(), new byte[1 << 20]);
        FrameDecoder decoder = new FrameDecoder();
        Runtime runtime = Runtime.getRuntime();
        System.out.println("1 GiB of frames of 1 MiB, chunks of 16 KiB: memory held after a collection");
        long begun = System.nanoTime();
        for (int n = 1; n <= 1024; n++) {
            for (int at = 0; at < wire.length; at += 16 << 10) {
                decoder.feed(ByteBuffer.wrap(wire, at, Math.min(16 << 10, wire.length - at)));
                while (decoder.next() != null) {
                    // the frame is not kept
                }
            }
            if (Integer.bitCount(n) == 1 && n >= 64) {
                System.gc();
                long held = runtime.totalMemory() - runtime.freeMemory();
                System.out.printf("  after %4d MiB: %5.1f MiB%n", n, held / 1048576.0);
            }
        }
        decoder.finish();
        System.out.printf("  %.1f GiB/s%n", 1e9 / (System.nanoTime() - begun));
    }
}
