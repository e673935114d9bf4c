package io.github.objectstreaming;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Bytes in, in any pieces; frames out. Sans-IO, and not thread-safe.
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
 * <p>All bytes gather in one array, which is used again and grows with what has arrived: a length word is a claim,
 * compared with the limits, never a reason to allocate. Each byte is copied in once and out once, so the cost is linear
 * whatever the chunks, and what is held is the frame that is not whole, and what was fed and not yet asked for. Both
 * length words are judged as soon as they are there, in field order; a header when {@link Frame#header()} is first
 * asked for, so that a relay never pays for parsing it. Frames before a bad one always come first.
 */
public final class FrameDecoder {
    /** An array that is larger than this is let go of when it is empty. */
    private static final int KEPT = 1 << 20;

    private static final int SMALLEST = 1 << 10;
    private static final int UNKNOWN = -1;
    private static final byte[] NOTHING = {};

    private final Limits limits;
    private final Layout layout;
    private final int width;
    private final int prefix;

    private byte[] bytes = NOTHING;
    private int at; // where the next frame begins in bytes, and where what was fed ends
    private int end;
    private long index; // of the next frame
    private long offset;
    private int total = UNKNOWN; // the next frame's length words, once they are there and sound
    private int headerSize = UNKNOWN;
    private Frame peeked;
    private boolean finished;
    private FrameException failure;

    /** A decoder of the wire, with the default limits. */
    public FrameDecoder() {
        this(Limits.DEFAULT);
    }

    /**
     * A decoder of the wire.
     *
     * @param limits what it accepts
     */
    public FrameDecoder(Limits limits) {
        this(limits, Layout.STANDARD);
    }

    /**
     * A decoder of a layout of your own.
     *
     * @param limits what it accepts
     * @param layout how the length words are written
     */
    public FrameDecoder(Limits limits, Layout layout) {
        this.limits = limits;
        this.layout = layout;
        this.width = layout.byteLength();
        this.prefix = 2 * width;
    }

    /**
     * Takes all bytes of the chunk. They are copied: the buffer may be used again at once.
     *
     * @param chunk its position moves to its limit
     * @throws FrameException again, if the decoder is dead
     * @throws IllegalStateException after {@link #finish()}
     */
    public void feed(ByteBuffer chunk) {
        if (finished) {
            throw new IllegalStateException("feed() after finish(): the stream was said to have ended");
        }
        check();
        int size = chunk.remaining();
        makeRoom(size);
        chunk.get(bytes, end, size);
        end += size;
    }

    /**
     * Takes all bytes of the chunk, which are copied.
     *
     * @param chunk may be used again at once
     * @throws FrameException again, if the decoder is dead
     * @throws IllegalStateException after {@link #finish()}
     */
    public void feed(byte[] chunk) {
        feed(ByteBuffer.wrap(chunk));
    }

    private void makeRoom(int size) {
        if (at == end) {
            at = end = 0;
        }
        if (size <= bytes.length - end) {
            return;
        }
        int held = end - at;
        // To the front only where that moves no more bytes than were taken out since: linear in the long run.
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
     * @return {@code null} if more bytes are needed, or, after {@link #finish()}, if there is none
     * @throws FrameException if the bytes are not frames, after the good ones; and again whenever asked
     */
    public Frame next() {
        if (peeked != null) {
            Frame frame = peeked;
            peeked = null;
            return frame;
        }
        if (failure != null) {
            check();
        }
        int available = end - at;
        if (headerSize < 0 && !judge(available) || available < total) {
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

    /** Judges the length words, in field order, each as soon as its bytes are there. Whether both are. */
    private boolean judge(int available) {
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
     * Says that no more bytes will come. Frames not yet asked for can still be had from {@link #next()}, which then
     * throws in its turn.
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
     * How many frames have been delivered.
     *
     * @return the index of the next one
     */
    public long position() {
        return peeked == null ? index : peeked.index();
    }

    /**
     * How many bytes the delivered frames took.
     *
     * @return where in the stream the next one begins
     */
    public long offset() {
        return peeked == null ? offset : peeked.offset();
    }

    /**
     * How many bytes are held: fed, and not delivered.
     *
     * @return 0 where the input may end
     */
    public int buffered() {
        return end - at + (int) (offset - offset());
    }

    private void check() {
        if (failure != null) {
            throw failure;
        }
    }

    /** Dies, and lets go of what is held. */
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

    /** The likely cause of a bad length word; empty where nothing suggests itself. */
    private String cause() {
        if (index > 0) {
            return ": was the frame before it written with a wrong length, or were bytes lost?";
        }
        String start = new String(bytes, at, Math.min(4, end - at), StandardCharsets.ISO_8859_1);
        String guess = start.startsWith("\u001f\u008b")
                ? "gzip: was its Content-Encoding not undone?"
                : start.equals("HTTP")
                        ? "an HTTP response with its head still on?"
                        : start.startsWith("<")
                                ? "an error page?"
                                : start.equals("RIFF")
                                        ? "a WAV file instead of frames?"
                                        : start.equals("data") || start.equals("even")
                                                ? "server-sent events?"
                                                : start.startsWith("{") || start.startsWith("[")
                                                        ? "JSON without frames?"
                                                        : start.startsWith("\0\0") && !start.endsWith("\0\0")
                                                                ? "the other byte order?"
                                                                : start.chars().allMatch(c -> c >= 0x20 && c < 0x7f)
                                                                        ? "text instead of frames?"
                                                                        : "";
        return guess.isEmpty() ? "" : ": " + guess;
    }
}
