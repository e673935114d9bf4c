package io.github.objectstreaming.internal;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * The checks of SPEC section 2.3 that JSON parsers do not make: valid UTF-8 without a byte order mark, and no lone
 * surrogate, not even as an escape. A text that passes may still not be JSON.
 */
public final class StrictJson {
    /** How deep arrays and objects may nest. */
    public static final int MAX_DEPTH = 100;
    /** How many digits an integer may have. The time to read one grows with the square of their number. */
    public static final int MAX_DIGITS = 4300;

    private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final long HIGH_BITS = 0x8080808080808080L;
    private static final long ONES = 0x0101010101010101L;
    private static final long BACKSLASHES = '\\' * ONES;

    private StrictJson() {}

    /**
     * Checks a text. It checks eight bytes at a time as long as they are ASCII without escapes.
     *
     * @throws InvalidJsonException with the reason
     */
    public static void check(byte[] text, int from, int to) throws InvalidJsonException {
        int at = from;
        for (; at <= to - 8; at += 8) {
            long word = (long) LONGS.get(text, at);
            long noBackslash = word ^ BACKSLASHES;
            // True if a byte has the high bit, or a byte of noBackslash is zero. A false alarm only costs time.
            if (((word | (noBackslash - ONES) & ~noBackslash) & HIGH_BITS) != 0) {
                checkSlowly(text, at, to, from);
                return;
            }
        }
        for (; at < to; at++) {
            if (text[at] < 0 || text[at] == '\\') {
                checkSlowly(text, at, to, from);
                return;
            }
        }
    }

    private static void checkSlowly(byte[] text, int from, int to, int start) throws InvalidJsonException {
        boolean highBefore = false; // whether the escape before was the first half of a surrogate pair
        int at = from;
        if (at == start && to - at >= 3 && text[at] == (byte) 0xef && text[at + 1] == (byte) 0xbb) {
            if (text[at + 2] == (byte) 0xbf) {
                throw new InvalidJsonException("a byte order mark, which JSON does not allow");
            }
        }
        while (at < to) {
            byte b = text[at];
            if (b == '\\') {
                int unit = at + 1 < to && text[at + 1] == 'u' ? hex(text, at + 2, to) : -1;
                boolean low = unit >= 0xdc00 && unit <= 0xdfff;
                if (low != highBefore) {
                    throw loneSurrogate();
                }
                highBefore = unit >= 0xd800 && unit <= 0xdbff;
                at += unit >= 0 ? 6 : 2; // the parser refuses an invalid escape
                continue;
            }
            if (highBefore) {
                throw loneSurrogate();
            }
            at += b >= 0 ? 1 : sequence(text, at, to);
        }
        if (highBefore) {
            throw loneSurrogate();
        }
    }

    private static InvalidJsonException loneSurrogate() {
        return new InvalidJsonException("a lone surrogate in a string");
    }

    /** The size of the UTF-8 sequence at {@code at} (RFC 3629, section 4). */
    private static int sequence(byte[] text, int at, int to) throws InvalidJsonException {
        int lead = text[at] & 0xff;
        int size = lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        boolean valid = size > 0 && at + size <= to;
        for (int n = 1; valid && n < size; n++) {
            valid = (text[at + n] & 0xc0) == 0x80;
        }
        if (valid && size > 2) {
            int second = text[at + 1] & 0xff;
            valid = switch (lead) {
                case 0xe0 -> second >= 0xa0; // below: overlong
                case 0xed -> second <= 0x9f; // above: surrogates
                case 0xf0 -> second >= 0x90; // below: overlong
                case 0xf4 -> second <= 0x8f; // above: beyond Unicode
                default -> true;
            };
        }
        if (!valid) {
            throw new InvalidJsonException("not UTF-8");
        }
        return size;
    }

    /** The four hexadecimal digits at {@code at}, or -1. */
    static int hex(byte[] text, int at, int to) {
        if (at + 4 > to) {
            return -1;
        }
        int value = 0;
        for (int n = 0; n < 4; n++) {
            byte b = text[at + n];
            int digit = b >= 0 ? Character.digit(b, 16) : -1;
            if (digit < 0) {
                return -1;
            }
            value = value << 4 | digit;
        }
        return value;
    }
}
