package io.github.objectstreaming;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Reads frames from bytes, in chunks of any size. It does no input or output, and is not thread-safe.
 *
 * <pre>{@code
 * FrameDecoder decoder = new FrameDecoder();
 * while (channel.read(buffer.clear()) >= 0) {
 *     decoder.feed(buffer.flip());
 *     for (Frame frame; (frame = decoder.next()) != null; ) {
 *         use(frame);
 *     }
 * }
 * decoder.finish();
 * }</pre>
 *
 * <p>All bytes are collected in one array, which is used again and grows with the bytes that arrive. No memory is
 * reserved for a length that a peer claims. Each byte is copied in once and out once, so the cost is linear for any
 * chunks. The decoder holds the frame that is not whole yet, and bytes that were fed and not read yet. Each length word
 * is checked as soon as it has arrived, T before H. A header is checked at the first call of {@link Frame#header()}, so
 * that a relay does not parse it. Valid frames always come before an error.
 */
public final class FrameDecoder {
    /** A larger array is released when it is empty. */
    private static final int KEPT = 1 << 20;

    private static final int SMALLEST = 1 << 10;
    private static final int UNKNOWN = -1;
    private static final byte[] NOTHING = {};

    private static final List<Map.Entry<String, String>> BEGINNINGS = List.of(
            Map.entry("\u001f\u008b", "gzip: was its Content-Encoding not undone?"),
            Map.entry("HTTP", "an HTTP response with its head still on?"),
            Map.entry("<", "an error page?"),
            Map.entry("RIFF", "a WAV file instead of frames?"),
            Map.entry("data", "server-sent events?"),
            Map.entry("even", "server-sent events?"),
            Map.entry("{", "JSON without frames?"),
            Map.entry("[", "JSON without frames?"));

    private final Limits limits;
    private final Layout layout;
    private final int width;
    private final int prefix;

    private byte[] bytes = NOTHING;
    private int at; // the beginning of the next frame in bytes
    private int end; // the end of the bytes that were fed
    private long index; // of the next frame
    private long offset;
    private int total = UNKNOWN; // the length words of the next frame, when they are valid
    private int headerSize = UNKNOWN;
    private Frame peeked;
    private boolean finished;
    private FrameException failure;

    /** A decoder with the default limits. */
    public FrameDecoder() {
        this(Limits.DEFAULT);
    }

    /**
     * A decoder with other limits.
     *
     * @param limits the limits of frames and headers
     */
    public FrameDecoder(Limits limits) {
        this(limits, Layout.STANDARD);
    }

    /**
     * A decoder with another layout.
     *
     * @param limits the limits of frames and headers
     * @param layout how the length words are written
     */
    public FrameDecoder(Limits limits, Layout layout) {
        this.limits = limits;
        this.layout = layout;
        this.width = layout.byteLength();
        this.prefix = 2 * width;
    }

    /**
     * Takes all bytes of the chunk. They are copied, so the buffer can be used again at once.
     *
     * @param chunk its position moves to its limit
     * @throws FrameException again, if the decoder has failed
     * @throws IllegalStateException after {@link #finish()}
     */
    public void feed(ByteBuffer chunk) {
        if (finished) {
            throw new IllegalStateException("feed() after finish(): the stream has ended");
        }
        throwFailure();
        int size = chunk.remaining();
        reserve(size);
        chunk.get(bytes, end, size);
        end += size;
    }

    /**
     * Takes all bytes of the chunk. They are copied.
     *
     * @param chunk can be used again at once
     * @throws FrameException again, if the decoder has failed
     * @throws IllegalStateException after {@link #finish()}
     */
    public void feed(byte[] chunk) {
        feed(ByteBuffer.wrap(chunk));
    }

    private void reserve(int size) {
        if (at == end) {
            at = end = 0;
        }
        if (size <= bytes.length - end) {
            return;
        }
        int held = end - at;
        // Moved to the front only if at least as many bytes were taken out before: all moves together are linear.
        if (size <= bytes.length - held && held <= at) {
            System.arraycopy(bytes, at, bytes, 0, held);
        } else {
            int doubled = (int) Math.min(2L * bytes.length, Integer.MAX_VALUE - 8);
            byte[] larger = new byte[Math.max(Math.max(Math.addExact(held, size), doubled), SMALLEST)];
            System.arraycopy(bytes, at, larger, 0, held);
            bytes = larger;
        }
        at = 0;
        end = held;
    }

    /**
     * The next frame.
     *
     * @return {@code null} if more bytes are needed, or, after {@link #finish()}, if there is no more frame
     * @throws FrameException if the bytes are not frames, after the valid frames; and the same again at every later call
     */
    public Frame next() {
        if (peeked != null) {
            Frame frame = peeked;
            peeked = null;
            return frame;
        }
        throwFailure();
        int available = end - at;
        if (headerSize < 0 && !checkLengths(available) || available < total) {
            if (finished && available > 0) {
                throw fail(FrameException.TRUNCATED_FRAME, truncation(available), offset);
            }
            return null;
        }
        int from = at + prefix;
        int middle = from + headerSize;
        at += total;
        Frame frame = new Frame(
                Arrays.copyOfRange(bytes, from, middle), Arrays.copyOfRange(bytes, middle, at), index, offset);
        index++;
        offset += total;
        total = headerSize = UNKNOWN;
        if (at == end && bytes.length > KEPT) {
            bytes = NOTHING;
            at = end = 0;
        }
        return frame;
    }

    /** Checks each length word as soon as it has arrived, T before H. Returns whether both are valid. */
    private boolean checkLengths(int available) {
        if (total < 0) {
            if (available < width) {
                return false;
            }
            long word = layout.read(bytes, at);
            if (Long.compareUnsigned(word, prefix) < 0) {
                throw fail(
                        FrameException.INVALID_LENGTH,
                        "T is " + word + ", but a frame has at least " + prefix + " bytes" + cause(),
                        offset);
            }
            if (Long.compareUnsigned(word, limits.frame()) > 0) {
                throw fail(
                        FrameException.FRAME_TOO_LARGE,
                        "T is " + Long.toUnsignedString(word) + ", above the limit of " + limits.frame() + " bytes"
                                + cause(),
                        offset);
            }
            total = (int) word;
        }
        if (available < prefix) {
            return false;
        }
        long word = layout.read(bytes, at + width);
        int left = total - prefix;
        if (Long.compareUnsigned(word, left) > 0) {
            throw fail(
                    FrameException.INVALID_LENGTH,
                    "H is " + Long.toUnsignedString(word) + ", but T is " + total + " and leaves " + left + " bytes"
                            + cause(),
                    offset + width);
        }
        if (word > limits.header()) {
            throw fail(
                    FrameException.HEADER_TOO_LARGE,
                    "H is " + word + ", above the limit of " + limits.header() + " bytes",
                    offset + width);
        }
        headerSize = (int) word;
        return true;
    }

    /**
     * Tells the decoder that no more bytes will come. Frames that were not read yet can still be read with {@link
     * #next()}, which throws the exception after them.
     *
     * @throws FrameException of code {@link FrameException#TRUNCATED_FRAME} if a frame has begun and is not whole
     */
    public void finish() {
        finished = true;
        if (peeked == null) {
            peeked = next();
        }
    }

    /**
     * The number of frames returned.
     *
     * @return the index of the next frame
     */
    public long position() {
        return peeked == null ? index : peeked.index();
    }

    /**
     * The number of bytes of the frames returned.
     *
     * @return the byte of the stream where the next frame begins
     */
    public long offset() {
        return peeked == null ? offset : peeked.offset();
    }

    /**
     * The number of bytes that were fed and not returned yet.
     *
     * @return 0 if the input may end here
     */
    public int buffered() {
        return end - at + (int) (offset - offset());
    }

    private void throwFailure() {
        if (failure != null) {
            throw failure;
        }
    }

    /** Sets the failure and releases all memory. */
    private FrameException fail(String code, String message, long where) {
        failure = new FrameException(code, message, index, where);
        bytes = NOTHING;
        at = end = 0;
        return failure;
    }

    private String truncation(int available) {
        String of = total < 0 ? "" : " of " + total;
        return "the stream ended inside a frame, after " + available + of + " bytes" + (index == 0 ? cause() : "");
    }

    /** The likely cause of a wrong length word, as the end of its message. Empty if there is no guess. */
    private String cause() {
        if (index > 0) {
            return ": was the frame before it written with a wrong length, or were bytes lost?";
        }
        String start = new String(bytes, at, Math.min(4, end - at), StandardCharsets.ISO_8859_1);
        for (Map.Entry<String, String> beginning : BEGINNINGS) {
            if (start.startsWith(beginning.getKey())) {
                return startsWith(start, beginning.getValue());
            }
        }
        if (start.startsWith("\0\0") && !start.endsWith("\0\0")) {
            return ": the other byte order?";
        }
        boolean text = !start.isEmpty() && start.chars().allMatch(c -> c >= 0x20 && c < 0x7f);
        return text ? startsWith(start, "text instead of frames?") : "";
    }

    private static String startsWith(String start, String cause) {
        StringBuilder shown = new StringBuilder();
        start.chars().forEach(c -> shown.append(c >= 0x20 && c < 0x7f ? "" + (char) c : String.format("\\x%02x", c)));
        return ": the stream starts with '" + shown + "', " + cause;
    }
}
