package io.github.objectstreaming;

import io.github.objectstreaming.internal.InvalidJsonException;
import io.github.objectstreaming.internal.JsonReader;
import io.github.objectstreaming.internal.JsonWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;

/**
 * One frame: its header and its payload, as they were on the wire. The arrays are not copied: do not change them. Two
 * frames are equal if their bytes are.
 *
 * <pre>
 * 0            4             8              8+H                 T
 * | T  uint32  | H  uint32   | header (H B) | payload (T-8-H B) |      little-endian
 * </pre>
 */
public final class Frame {
    private static final int PREFIX = 8;

    private final byte[] headerBytes;
    private final byte[] payload;
    private final long index;
    private final long offset;
    private Map<String, Object> header;

    Frame(byte[] headerBytes, byte[] payload, long index, long offset) {
        this.headerBytes = headerBytes;
        this.payload = payload;
        this.index = index;
        this.offset = offset;
    }

    /**
     * A frame with a header as JSON text. It is checked, and written unchanged.
     *
     * @param headerBytes one JSON object in UTF-8
     * @param payload any bytes
     * @return the frame
     * @throws EncodeException if the header is not one strict JSON object
     */
    public static Frame of(byte[] headerBytes, byte[] payload) {
        Frame frame = new Frame(headerBytes, payload, 0, 0);
        try {
            frame.header = Collections.unmodifiableMap(JsonReader.readObject(headerBytes));
        } catch (InvalidJsonException error) {
            throw new EncodeException("the header is not a JSON object: " + error.getMessage(), error);
        }
        return frame;
    }

    /**
     * A frame with a header as a map.
     *
     * @param header maps, iterables, strings, numbers, booleans and {@code null}
     * @param payload any bytes
     * @return the frame
     * @throws EncodeException if JSON cannot express the header
     */
    public static Frame of(Map<String, ?> header, byte[] payload) {
        try {
            return new Frame(JsonWriter.write(header), payload, 0, 0);
        } catch (InvalidJsonException error) {
            throw new EncodeException("the header is not JSON: " + error.getMessage(), error);
        }
    }

    /**
     * A frame without any check, for coders that write JSON themselves.
     *
     * @param headerBytes one strict JSON object in UTF-8
     * @param payload any bytes
     * @return the frame
     */
    public static Frame ofUnchecked(byte[] headerBytes, byte[] payload) {
        return new Frame(headerBytes, payload, 0, 0);
    }

    /**
     * The bytes of the header.
     *
     * @return not a copy
     */
    public byte[] headerBytes() {
        return headerBytes;
    }

    /**
     * The payload.
     *
     * @return not a copy
     */
    public byte[] payload() {
        return payload;
    }

    /**
     * The header, parsed at the first call: maps, lists, strings, {@link Long} or {@link java.math.BigInteger}, {@link
     * Double}, {@link Boolean} and {@code null}.
     *
     * @return its members in their order, unmodifiable
     * @throws FrameException of code {@link FrameException#INVALID_HEADER} if it is not one strict JSON object
     */
    public Map<String, Object> header() {
        if (header == null) {
            try {
                header = Collections.unmodifiableMap(JsonReader.readObject(headerBytes));
            } catch (InvalidJsonException error) {
                throw FrameException.invalidHeader(
                        this, "the header is not a JSON object: " + error.getMessage(), error);
            }
        }
        return header;
    }

    /**
     * The number of the frame in its stream.
     *
     * @return the number, from 0, control frames included; 0 for a frame that was not received
     */
    public long index() {
        return index;
    }

    /**
     * The first byte of the frame in its stream.
     *
     * @return the byte, from 0; 0 for a frame that was not received
     */
    public long offset() {
        return offset;
    }

    /**
     * The bytes of the frame.
     *
     * @return a new array
     * @throws EncodeException if it is too long for its length words
     */
    public byte[] toBytes() {
        return toBytes(Layout.STANDARD);
    }

    /**
     * The bytes of the frame in another layout.
     *
     * @param layout how the length words are written
     * @return a new array
     * @throws EncodeException if it is too long for its length words
     */
    public byte[] toBytes(Layout layout) {
        int prefix = 2 * layout.byteLength();
        long total = (long) prefix + headerBytes.length + payload.length;
        if (!layout.fits(total) || total > Integer.MAX_VALUE - PREFIX) {
            throw new EncodeException("a frame of " + total + " bytes does not fit a length word of "
                    + layout.byteLength() + " bytes, or an array; send it in pieces, a frame each");
        }
        byte[] wire = new byte[(int) total];
        layout.write(wire, 0, total);
        layout.write(wire, layout.byteLength(), headerBytes.length);
        System.arraycopy(headerBytes, 0, wire, prefix, headerBytes.length);
        System.arraycopy(payload, 0, wire, prefix + headerBytes.length, payload.length);
        return wire;
    }

    /**
     * The bytes of the frame in two parts, without a copy of the payload, for {@link
     * java.nio.channels.GatheringByteChannel#write(ByteBuffer[])}.
     *
     * @return the length words with the header, and the payload
     */
    public ByteBuffer[] toBuffers() {
        ByteBuffer head = ByteBuffer.allocate(PREFIX + headerBytes.length).order(ByteOrder.LITTLE_ENDIAN);
        head.putInt(Math.addExact(PREFIX + headerBytes.length, payload.length));
        head.putInt(headerBytes.length).put(headerBytes).flip();
        return new ByteBuffer[] {head, ByteBuffer.wrap(payload)};
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Frame frame
                && Arrays.equals(headerBytes, frame.headerBytes)
                && Arrays.equals(payload, frame.payload);
    }

    @Override
    public int hashCode() {
        return 31 * Arrays.hashCode(headerBytes) + Arrays.hashCode(payload);
    }

    /** A line for logs: the place, the beginning of the header, the size of the payload. */
    @Override
    public String toString() {
        int shown = Math.min(headerBytes.length, 80);
        String text = new String(headerBytes, 0, shown, StandardCharsets.UTF_8);
        String dots = shown < headerBytes.length ? "..." : "";
        return "frame " + index + " at byte " + offset + ": " + text + dots + " + " + payload.length + " bytes";
    }
}
