package io.github.objectstreaming.internal;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON as the specification means it (SPEC section 2.3), read into maps, lists, strings, {@link Long} or {@link
 * BigInteger}, {@link Double}, {@link Boolean} and {@code null}. It is small, so that the core needs no library; for
 * payloads and for classes of your own there is Jackson.
 */
public final class JsonReader {
    private final byte[] text;
    private final int end;
    private int at;
    private int depth;

    private JsonReader(byte[] text) {
        this.text = text;
        this.end = text.length;
    }

    /**
     * Any JSON value.
     *
     * @throws InvalidJsonException if it is not one
     */
    public static Object read(byte[] text) throws InvalidJsonException {
        StrictJson.check(text, 0, text.length);
        JsonReader reader = new JsonReader(text);
        Object value = reader.value(reader.next());
        if (reader.next() >= 0) {
            throw new InvalidJsonException("there is more after its end, at byte " + (reader.at - 1));
        }
        return value;
    }

    /**
     * A JSON object: what a header must be.
     *
     * @throws InvalidJsonException if it is not one
     */
    @SuppressWarnings("unchecked") // made here, with strings for names
    public static Map<String, Object> readObject(byte[] text) throws InvalidJsonException {
        Object value = read(text);
        if (value instanceof Map<?, ?> members) {
            return (Map<String, Object>) members;
        }
        throw new InvalidJsonException("it is no object");
    }

    /** The next byte that is not white space, taken; -1 at the end. */
    private int next() {
        while (at < end) {
            byte b = text[at++];
            if (b != ' ' && b != '\n' && b != '\r' && b != '\t') {
                return b & 0xff;
            }
        }
        return -1;
    }

    private Object value(int first) throws InvalidJsonException {
        switch (first) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
                return string();
            case 't':
                return literal("true", Boolean.TRUE);
            case 'f':
                return literal("false", Boolean.FALSE);
            case 'n':
                return literal("null", null);
            case -1:
                throw cut();
            default:
                if (first == '-' || first >= '0' && first <= '9') {
                    return number(first);
                }
                throw unexpected();
        }
    }

    private Map<String, Object> object() throws InvalidJsonException {
        enter();
        Map<String, Object> members = new LinkedHashMap<>();
        int b = next();
        if (b != '}') {
            while (true) {
                expect('"', b);
                String name = string();
                expect(':', next());
                members.put(name, value(next()));
                b = next();
                if (b == '}') {
                    break;
                }
                expect(',', b);
                b = next();
            }
        }
        depth--;
        return members;
    }

    private List<Object> array() throws InvalidJsonException {
        enter();
        List<Object> items = new ArrayList<>();
        int b = next();
        if (b != ']') {
            while (true) {
                items.add(value(b));
                b = next();
                if (b == ']') {
                    break;
                }
                expect(',', b);
                b = next();
            }
        }
        depth--;
        return items;
    }

    private void enter() throws InvalidJsonException {
        if (++depth > StrictJson.MAX_DEPTH) {
            throw new InvalidJsonException("it nests deeper than " + StrictJson.MAX_DEPTH + " levels");
        }
    }

    private void expect(int wanted, int b) throws InvalidJsonException {
        if (b < 0) {
            throw cut();
        }
        if (b != wanted) {
            throw unexpected();
        }
    }

    private Object literal(String word, Object value) throws InvalidJsonException {
        for (int n = 1; n < word.length(); n++, at++) {
            if (at == end) {
                throw cut();
            }
            if (text[at] != word.charAt(n)) {
                at++;
                throw unexpected();
            }
        }
        return value;
    }

    private String string() throws InvalidJsonException {
        int start = at;
        while (at < end) {
            byte b = text[at++];
            if (b == '"') {
                return new String(text, start, at - 1 - start, StandardCharsets.UTF_8);
            }
            if (b == '\\') {
                return escaped(start);
            }
            if (b >= 0 && b < 0x20) {
                throw unexpected();
            }
        }
        throw cut();
    }

    /** The rest of a string whose first escape is at {@code at - 1}. */
    private String escaped(int start) throws InvalidJsonException {
        StringBuilder string = new StringBuilder();
        int run = start; // where the bytes begin that are not yet in it
        at--;
        while (at < end) {
            byte b = text[at++];
            if (b == '"' || b == '\\') {
                string.append(new String(text, run, at - 1 - run, StandardCharsets.UTF_8));
                if (b == '"') {
                    return string.toString();
                }
                string.append(escape());
                run = at;
            } else if (b >= 0 && b < 0x20) {
                throw unexpected();
            }
        }
        throw cut();
    }

    private char escape() throws InvalidJsonException {
        if (at == end) {
            throw cut();
        }
        switch (text[at++]) {
            case '"':
                return '"';
            case '\\':
                return '\\';
            case '/':
                return '/';
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'u':
                int unit = StrictJson.hex(text, at, end);
                if (unit >= 0) {
                    at += 4;
                    return (char) unit;
                }
                throw unexpected();
            default:
                throw unexpected();
        }
    }

    private Object number(int first) throws InvalidJsonException {
        int start = at - 1;
        if (first != '-') {
            at--;
        }
        int digits = digits();
        if (digits > 1 && text[at - digits] == '0') {
            throw new InvalidJsonException("a number has a zero too many, at byte " + start);
        }
        boolean integer = true;
        if (at < end && text[at] == '.') {
            at++;
            digits();
            integer = false;
        }
        if (at < end && (text[at] == 'e' || text[at] == 'E')) {
            at++;
            if (at < end && (text[at] == '+' || text[at] == '-')) {
                at++;
            }
            digits();
            integer = false;
        }
        String number = new String(text, start, at - start, StandardCharsets.ISO_8859_1);
        if (!integer) {
            return Double.valueOf(number);
        }
        if (digits <= 18) {
            return Long.valueOf(number);
        }
        if (digits > StrictJson.MAX_DIGITS) {
            throw new InvalidJsonException("an integer has " + digits + " digits");
        }
        BigInteger large = new BigInteger(number);
        return large.bitLength() < Long.SIZE ? (Object) large.longValue() : large;
    }

    private int digits() throws InvalidJsonException {
        int start = at;
        while (at < end && text[at] >= '0' && text[at] <= '9') {
            at++;
        }
        if (at == start) {
            if (at == end) {
                throw cut();
            }
            at++;
            throw unexpected();
        }
        return at - start;
    }

    private InvalidJsonException unexpected() {
        return new InvalidJsonException(
                String.format("byte %d is not what JSON has there: 0x%02x", at - 1, text[at - 1] & 0xff));
    }

    private InvalidJsonException cut() {
        return new InvalidJsonException(end == 0 ? "it is empty" : "it ends before the JSON does");
    }
}
