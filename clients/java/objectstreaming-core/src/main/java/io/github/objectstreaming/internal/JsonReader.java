package io.github.objectstreaming.internal;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads the JSON of the specification (SPEC section 2.3) into maps, lists, strings, {@link Long} or {@link BigInteger},
 * {@link Double}, {@link Boolean} and {@code null}. It is small, so that the core needs no library. The coder for
 * payloads and for your own classes uses Jackson.
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
     * Reads any JSON value.
     *
     * @throws InvalidJsonException if the text is not JSON
     */
    public static Object read(byte[] text) throws InvalidJsonException {
        StrictJson.check(text, 0, text.length);
        JsonReader reader = new JsonReader(text);
        Object value = reader.value(reader.next());
        if (reader.next() >= 0) {
            throw new InvalidJsonException("more text after the value (byte " + (reader.at - 1) + ")");
        }
        return value;
    }

    /**
     * Reads a JSON object, as every header must be.
     *
     * @throws InvalidJsonException if the text is not a JSON object
     */
    @SuppressWarnings("unchecked") // the keys of the maps made here are strings
    public static Map<String, Object> readObject(byte[] text) throws InvalidJsonException {
        Object value = read(text);
        if (value instanceof Map<?, ?> members) {
            return (Map<String, Object>) members;
        }
        throw new InvalidJsonException("an object is expected");
    }

    /** Takes the next byte that is not white space. -1 at the end. */
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
            throw new InvalidJsonException("nested deeper than " + StrictJson.MAX_DEPTH + " levels");
        }
    }

    private void expect(int expected, int b) throws InvalidJsonException {
        if (b < 0) {
            throw cut();
        }
        if (b != expected) {
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

    /** Reads the rest of a string whose first escape is at {@code at - 1}. */
    private String escaped(int start) throws InvalidJsonException {
        StringBuilder string = new StringBuilder();
        int run = start; // the first byte that was not appended yet
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
            throw new InvalidJsonException("a number that begins with 0 (byte " + start + ")");
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
            throw new InvalidJsonException("an integer of " + digits + " digits");
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
                String.format("an unexpected byte: 0x%02x (byte %d)", text[at - 1] & 0xff, at - 1));
    }

    private InvalidJsonException cut() {
        return new InvalidJsonException(end == 0 ? "empty, where a value is expected" : "the text ends inside a value");
    }
}
