package io.github.objectstreaming;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * How the two length words of a frame are written. A layout other than {@link #STANDARD} is a private agreement of both
 * sides (SPEC section 2.1).
 *
 * @param byteLength the size of a length word in bytes, 1 to 8
 * @param byteOrder its byte order
 */
public record Layout(int byteLength, ByteOrder byteOrder) {
    /** Four bytes, little-endian. */
    public static final Layout STANDARD = new Layout(4, ByteOrder.LITTLE_ENDIAN);

    private static final VarHandle WORD = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

    /**
     * Makes a layout.
     *
     * @param byteLength the size of a length word in bytes, 1 to 8
     * @param byteOrder its byte order
     * @throws IllegalArgumentException if the size is not 1 to 8
     */
    public Layout {
        Objects.requireNonNull(byteOrder);
        if (byteLength < 1 || byteLength > 8) {
            throw new IllegalArgumentException("a length word has 1 to 8 bytes, not " + byteLength);
        }
    }

    /** The word at {@code at}, unsigned. */
    long read(byte[] bytes, int at) {
        if (byteLength == 4 && byteOrder == ByteOrder.LITTLE_ENDIAN) {
            return (int) WORD.get(bytes, at) & 0xffff_ffffL;
        }
        long word = 0;
        for (int n = 0; n < byteLength; n++) {
            int from = byteOrder == ByteOrder.BIG_ENDIAN ? at + n : at + byteLength - 1 - n;
            word = word << 8 | bytes[from] & 0xff;
        }
        return word;
    }

    /** Writes the word, which must fit. */
    void write(byte[] bytes, int at, long word) {
        for (int n = 0; n < byteLength; n++) {
            int to = byteOrder == ByteOrder.BIG_ENDIAN ? at + byteLength - 1 - n : at + n;
            bytes[to] = (byte) (word >>> 8 * n);
        }
    }

    boolean fits(long word) {
        return byteLength == 8 || word >>> 8 * byteLength == 0;
    }
}
