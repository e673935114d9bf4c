package io.github.objectstreaming.msgpack;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Set;

/**
 * Checks that bytes are one MessagePack value, and nothing after it. The library trusts the lengths and the depth that a
 * value claims, so they are compared here with the bytes that are there, before anything is allocated.
 */
final class PayloadCheck {
    static final int TIMESTAMP = -1;

    private static final int MAX_DEPTH = 500;

    /** What is wrong. */
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1L;

        Refused(String message) {
            super(message);
        }
    }

    private final ByteBuffer data;
    private final Set<Integer> extensions;

    private PayloadCheck(byte[] data, Set<Integer> extensions) {
        this.data = ByteBuffer.wrap(data);
        this.extensions = extensions;
    }

    static void check(byte[] payload, Set<Integer> extensions) throws Refused {
        PayloadCheck check = new PayloadCheck(payload, extensions);
        Deque<Long> waiting = new ArrayDeque<>(); // the values still to come, for each array or map that is open
        waiting.push(1L);
        while (!waiting.isEmpty()) {
            long left = waiting.pop();
            if (left == 0) {
                continue;
            }
            waiting.push(left - 1);
            long values = check.head();
            if (values > check.data.remaining()) { // each takes a byte at least
                throw tooShort();
            }
            if (values > 0) {
                waiting.push(values);
            }
            if (waiting.size() > MAX_DEPTH) {
                throw new Refused("more than " + MAX_DEPTH + " levels");
            }
        }
        if (check.data.hasRemaining()) {
            throw new Refused(check.data.remaining() + " bytes after the value");
        }
    }

    /** Reads a value without the values inside it, and returns their number. */
    private long head() throws Refused {
        int kind = (int) number(1);
        if (kind <= 0x7f || kind >= 0xe0 || kind == 0xc0 || kind == 0xc2 || kind == 0xc3) {
            return 0; // a small integer, nil, a boolean
        } else if (kind <= 0x8f) {
            return 2 * (kind & 0x0f);
        } else if (kind <= 0x9f) {
            return kind & 0x0f;
        } else if (kind <= 0xbf) {
            text(kind & 0x1f);
        } else if (kind == 0xc1) {
            throw new Refused("the byte c1, which is never used");
        } else if (kind <= 0xc6) {
            take(number(1 << kind - 0xc4));
        } else if (kind <= 0xc9) {
            extension(number(1 << kind - 0xc7));
        } else if (kind <= 0xcb) {
            take(4 << kind - 0xca);
        } else if (kind <= 0xcf) {
            take(1 << kind - 0xcc);
        } else if (kind <= 0xd3) {
            take(1 << kind - 0xd0);
        } else if (kind <= 0xd8) {
            extension(1 << kind - 0xd4);
        } else if (kind <= 0xdb) {
            text(number(1 << kind - 0xd9));
        } else if (kind <= 0xdd) {
            return number(2 << kind - 0xdc);
        } else {
            return 2 * number(2 << kind - 0xde);
        }
        return 0;
    }

    private long number(int width) throws Refused {
        long number = 0;
        for (ByteBuffer bytes = take(width); bytes.hasRemaining(); ) {
            number = number << 8 | bytes.get() & 0xff;
        }
        return number;
    }

    private ByteBuffer take(long size) throws Refused {
        if (size > data.remaining()) {
            throw tooShort();
        }
        ByteBuffer taken = data.slice(data.position(), (int) size);
        data.position(data.position() + (int) size);
        return taken;
    }

    private void text(long size) throws Refused {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(take(size));
        } catch (CharacterCodingException error) {
            throw new Refused("a string is not UTF-8");
        }
    }

    private void extension(long size) throws Refused {
        int code = (byte) number(1);
        take(size);
        if (!extensions.contains(code)) {
            throw new Refused("extension type " + code + " is not registered");
        }
        if (code == TIMESTAMP && size != 4 && size != 8 && size != 12) {
            throw new Refused("a timestamp of " + size + " bytes");
        }
    }

    private static Refused tooShort() {
        return new Refused("a length reaches beyond the payload");
    }
}
