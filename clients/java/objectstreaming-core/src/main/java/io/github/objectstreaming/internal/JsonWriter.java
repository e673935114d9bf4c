package io.github.objectstreaming.internal;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.Map;

/** Writes compact JSON: maps, iterables, arrays of objects, strings, numbers, booleans and {@code null}. */
public final class JsonWriter {
    private final StringBuilder out = new StringBuilder();
    private int depth;

    private JsonWriter() {}

    /**
     * Writes a value as UTF-8.
     *
     * @throws InvalidJsonException if JSON cannot express it, or a receiver refuses it
     */
    public static byte[] write(Object value) throws InvalidJsonException {
        JsonWriter writer = new JsonWriter();
        writer.value(value);
        return writer.out.toString().getBytes(StandardCharsets.UTF_8);
    }

    private void value(Object value) throws InvalidJsonException {
        if (value instanceof CharSequence text) {
            string(text);
        } else if (value == null || value instanceof Boolean) {
            out.append(value);
        } else if (value instanceof Number number) {
            number(number);
        } else if (value instanceof Map<?, ?> members) {
            object(members);
        } else if (value instanceof Iterable<?> items) {
            array(items.iterator());
        } else if (value instanceof Object[] items) {
            array(java.util.Arrays.asList(items).iterator());
        } else {
            throw new InvalidJsonException(value.getClass().getName()
                    + " is not a map, iterable, string, number, boolean or null; for your own classes use the coder of"
                    + " objectstreaming-json");
        }
    }

    private void number(Number number) throws InvalidJsonException {
        if (number instanceof Double || number instanceof Float) {
            if (!Double.isFinite(number.doubleValue())) {
                throw new InvalidJsonException(number + " is not JSON; send null or a string instead");
            }
        } else if (!(number instanceof Integer
                || number instanceof Long
                || number instanceof Short
                || number instanceof Byte
                || number instanceof BigInteger
                || number instanceof BigDecimal)) {
            throw new InvalidJsonException(number.getClass().getName() + " is not a number of JSON");
        }
        out.append(number);
    }

    private void object(Map<?, ?> members) throws InvalidJsonException {
        enter();
        char before = '{';
        for (Map.Entry<?, ?> member : members.entrySet()) {
            out.append(before);
            if (!(member.getKey() instanceof CharSequence name)) {
                throw new InvalidJsonException("the name of a member is a string, not " + member.getKey());
            }
            string(name);
            out.append(':');
            value(member.getValue());
            before = ',';
        }
        out.append(before == '{' ? "{}" : "}");
        depth--;
    }

    private void array(Iterator<?> items) throws InvalidJsonException {
        enter();
        char before = '[';
        while (items.hasNext()) {
            out.append(before);
            value(items.next());
            before = ',';
        }
        out.append(before == '[' ? "[]" : "]");
        depth--;
    }

    private void enter() throws InvalidJsonException {
        if (++depth > StrictJson.MAX_DEPTH) {
            throw new InvalidJsonException(
                    "nested deeper than " + StrictJson.MAX_DEPTH + " levels, or it contains itself");
        }
    }

    private void string(CharSequence text) throws InvalidJsonException {
        out.append('"');
        for (int n = 0; n < text.length(); n++) {
            char c = text.charAt(n);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                default -> {
                    if (c < 0x20) {
                        out.append(String.format("\\u%04x", (int) c));
                    } else if (!Character.isSurrogate(c)) {
                        out.append(c);
                    } else if (Character.isHighSurrogate(c)
                            && n + 1 < text.length()
                            && Character.isLowSurrogate(text.charAt(n + 1))) {
                        out.append(c).append(text.charAt(++n));
                    } else {
                        throw new InvalidJsonException("a lone surrogate in a string, at " + n);
                    }
                }
            }
        }
        out.append('"');
    }
}
