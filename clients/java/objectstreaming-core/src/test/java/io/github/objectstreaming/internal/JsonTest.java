package io.github.objectstreaming.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
    private static Object read(String text) throws InvalidJsonException {
        return JsonReader.read(text.getBytes(StandardCharsets.UTF_8));
    }

    private static String write(Object value) throws InvalidJsonException {
        return new String(JsonWriter.write(value), StandardCharsets.UTF_8);
    }

    @Test
    void valuesOfEveryKind() throws InvalidJsonException {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("a", List.of(1L, -0.5, true, false));
        members.put("b", null);
        members.put("c", Map.of("", "\u0000\"\\/\n\u00e9\u6f22\ud83d\ude00"));
        members.put("d", new BigInteger("18446744073709551617"));
        members.put("e", List.of());
        String text = write(members);
        assertEquals(
                "{\"a\":[1,-0.5,true,false],\"b\":null,\"c\":{\"\":\"\\u0000\\\"\\\\/\\n\u00e9\u6f22\ud83d\ude00\"},"
                        + "\"d\":18446744073709551617,\"e\":[]}",
                text);
        assertEquals(members, read(text));
    }

    @Test
    void numbersOfEveryKind() throws InvalidJsonException {
        assertEquals(
                List.of(0L, Long.MIN_VALUE, Long.MAX_VALUE), read("[-0,-9223372036854775808,9223372036854775807]"));
        assertEquals(1e3, read("1e3"));
        assertEquals("[1,2,3,1.5,1E+3]", write(new Object[] {(byte) 1, (short) 2, 3, 1.5f, new BigDecimal("1E+3")}));
        assertEquals(4300, read("9".repeat(4300)).toString().length());
        assertThrows(InvalidJsonException.class, () -> read("9".repeat(4301)));
    }

    @Test
    void nestingIsLimited() throws InvalidJsonException {
        read("[".repeat(100) + "]".repeat(100));
        assertThrows(InvalidJsonException.class, () -> read("[".repeat(101) + "]".repeat(101)));
        assertThrows(InvalidJsonException.class, () -> read("{\"a\":".repeat(1_000_000)));
        List<Object> itself = new ArrayList<>();
        itself.add(itself);
        assertThrows(InvalidJsonException.class, () -> write(itself));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                " ",
                "{",
                "[1",
                "[1,]",
                "{\"a\"}",
                "{\"a\":1,}",
                "{a:1}",
                "01",
                "-",
                "1.",
                ".5",
                "1e",
                "+1",
                "0x1",
                "NaN",
                "Infinity",
                "-Infinity",
                "nul",
                "truE",
                "'a'",
                "\"",
                "\"\\",
                "\"\\x\"",
                "\"\\u12\"",
                "\"\\u123g\"",
                "\"\t\"",
                "\"\\ud800\"",
                "\"\\udc00\"",
                "\"\\ud800x\\udc00\"",
                "\"\\ud800\\ud800\"",
                "\"\\ud800\\n\"",
                "1 2",
                "{}x",
                "\ufeff{}",
                "[1}",
                "{\"a\":1]",
                "\f1",
                "/**/1",
                "\u00a01",
            })
    void invalidJsonIsRefused(String text) {
        assertThrows(InvalidJsonException.class, () -> read(text));
    }

    @Test
    void invalidUtf8OfUpToFourBytesIsRefused() {
        // The first and last values of each range in the table of RFC 3629.
        int[] edges = {
            0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf3,
            0xf4, 0xf5, 0xff
        };
        for (int a : edges) {
            for (int b : edges) {
                for (int c : edges) {
                    for (int d : edges) {
                        byte[] text = {'"', 'x', (byte) a, (byte) b, (byte) c, (byte) d, 'x', '"'};
                        boolean valid = Arrays.equals(
                                text, new String(text, StandardCharsets.UTF_8).getBytes(StandardCharsets.UTF_8));
                        assertEquals(valid, isJson(text), () -> Arrays.toString(text));
                    }
                }
            }
        }
    }

    private static boolean isJson(byte[] text) {
        try {
            JsonReader.read(text);
            return true;
        } catch (InvalidJsonException error) {
            return false;
        }
    }
}
