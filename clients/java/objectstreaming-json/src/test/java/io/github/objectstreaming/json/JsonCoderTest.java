package io.github.objectstreaming.json;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.objectstreaming.EncodeException;
import io.github.objectstreaming.Frame;
import io.github.objectstreaming.FrameDecoder;
import io.github.objectstreaming.FrameException;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.PayloadException;
import io.github.objectstreaming.internal.InvalidJsonException;
import io.github.objectstreaming.internal.JsonReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonCoderTest {
    record Status(String status, String reason) {}

    record Answer(String answer, double score) {}

    private static final JsonCoder<Status, Answer> TYPED = JsonCoder.of(Status.class, Answer.class);
    private static final JsonCoder<ObjectNode, JsonNode> TREES = JsonCoder.ofTrees();

    private static Frame frame(String header, String payload) {
        return frame(header.getBytes(StandardCharsets.UTF_8), payload.getBytes(StandardCharsets.UTF_8));
    }

    private static Frame frame(byte[] header, byte[] payload) {
        FrameDecoder decoder = new FrameDecoder();
        decoder.feed(Frame.ofUnchecked(header, payload).toBytes());
        return decoder.next();
    }

    @Test
    void classesAreWrittenAndRead() {
        Status header = new Status("success", null);
        Answer payload = new Answer("\u00e9\u6f22\ud83d\ude00", 0.5);
        Frame frame = TYPED.encode(header, payload);
        assertArrayEquals(
                "{\"status\":\"success\",\"reason\":null}".getBytes(StandardCharsets.UTF_8), frame.headerBytes());
        assertArrayEquals(
                "{\"answer\":\"\u00e9\u6f22\ud83d\ude00\",\"score\":0.5}".getBytes(StandardCharsets.UTF_8),
                frame.payload());
        assertEquals(new Message<>(header, payload), TYPED.decode(frame));
    }

    @Test
    void unknownMembersAreIgnoredButChecked() {
        assertEquals(
                "x",
                TYPED.decode(frame("{\"more\":[1]}", "{\"answer\":\"x\"}"))
                        .payload()
                        .answer());
        assertThrows(FrameException.class, () -> TYPED.decode(frame("{\"more\":\"\\ud800\"}", "{}")));
        byte[] latin1 = "{\"more\":\"\u00e9\"}".getBytes(StandardCharsets.ISO_8859_1);
        assertThrows(PayloadException.class, () -> TYPED.decode(frame("{}".getBytes(StandardCharsets.UTF_8), latin1)));
    }

    @Test
    void valuesThatDoNotFitTheirTypeAreRefused() {
        FrameException header = assertThrows(FrameException.class, () -> TYPED.decode(frame("{\"status\":[]}", "{}")));
        assertEquals(FrameException.INVALID_HEADER, header.code());
        PayloadException payload = assertThrows(PayloadException.class, () -> TYPED.decode(frame("{}", "[]")));
        assertTrue(payload.getMessage().endsWith("(invalid_payload, frame 0, byte 0)"), payload.getMessage());
        assertTrue(payload.getMessage().lines().count() == 1);
    }

    @Test
    void nullIsAPayloadButNotAHeader() {
        assertNull(TYPED.decode(frame("{}", "null")).payload());
        assertThrows(FrameException.class, () -> TYPED.decode(frame("null", "{}")));
        assertThrows(EncodeException.class, () -> TYPED.encode(null, null));
    }

    @Test
    void genericTypesAndOtherMappersAreUsed() {
        ObjectMapper mapper = JsonMapper.builder()
                .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                .build();
        record Part(int partNumber) {}
        JsonCoder<Map<String, Integer>, List<Part>> coder =
                JsonCoder.of(mapper, new TypeReference<Map<String, Integer>>() {}, new TypeReference<List<Part>>() {});
        Frame frame = coder.encode(Map.of("a", 1), List.of(new Part(2)));
        assertEquals("[{\"part_number\":2}]", new String(frame.payload(), StandardCharsets.UTF_8));
        assertEquals(List.of(new Part(2)), coder.decode(frame).payload());
    }

    @Test
    void mapsAreRead() {
        JsonCoder<Map<String, Object>, Object> coder = JsonCoder.ofMaps();
        Message<Map<String, Object>, Object> message = coder.decode(frame("{\"a\":1}", "[true]"));
        assertEquals(Map.of("a", 1), message.header());
        assertEquals(List.of(true), message.payload());
    }

    @Test
    void valuesThatJsonCannotExpressAreNotSent() {
        JsonCoder<Map<String, Object>, Object> coder = JsonCoder.ofMaps();
        assertThrows(EncodeException.class, () -> TYPED.encode(new Status("", ""), new Answer("", Double.NaN)));
        assertThrows(EncodeException.class, () -> coder.encode(Map.of("x", Float.POSITIVE_INFINITY), null));
        assertThrows(EncodeException.class, () -> coder.encode(Map.of(), new double[] {1, Double.NaN}));
        assertThrows(EncodeException.class, () -> coder.encode(Map.of("x", "\ud800"), null));
        assertThrows(EncodeException.class, () -> coder.encode(Map.of(), "\udc00 alone"));
        Object deep = 1;
        for (int n = 0; n < 101; n++) {
            deep = List.of(deep);
        }
        Object tooDeep = deep;
        assertThrows(EncodeException.class, () -> coder.encode(Map.of(), tooDeep));
    }

    @ParameterizedTest
    @ValueSource(strings = {"UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"})
    void otherEncodingsAreRefused(String charset) {
        byte[] text = "{\"a\":1}".getBytes(java.nio.charset.Charset.forName(charset));
        assertThrows(FrameException.class, () -> TREES.decode(frame(text, text)));
    }

    /** The two parsers, Jackson and the one of the core, accept the same texts. Tried on 20,000 damaged texts. */
    @Test
    void jacksonAndTheCoreAgree() {
        String[] seeds = {
            "{\"a\":[1,-0.5e+3,true,false,null],\"b\":{\"c\":\"\\u00e9\\ud83d\\ude00\\n\"}}",
            "[\"\u00e9\u6f22\ud83d\ude00\",123456789012345678901234567890,{\"\":[]}]",
            " { \"x\" : [ ] , \"y\" : \"\\\\\\\"\" } ",
        };
        byte[] alphabet = "{}[]\",:\\u0123456789abcdefDE+-.ntrls \t\n\u0001".getBytes(StandardCharsets.UTF_8);
        Random random = new Random(20261120);
        int accepted = 0;
        for (int n = 0; n < 20_000; n++) {
            byte[] text = seeds[n % seeds.length].getBytes(StandardCharsets.UTF_8);
            for (int change = random.nextInt(3); change >= 0; change--) {
                int at = random.nextInt(text.length);
                switch (random.nextInt(4)) {
                    case 0 -> text[at] = (byte) random.nextInt(256);
                    case 1 -> text = Arrays.copyOf(text, Math.max(1, at));
                    case 2 -> text[at] = text[random.nextInt(text.length)];
                    default -> text[at] = alphabet[random.nextInt(alphabet.length)];
                }
            }
            boolean core = core(text);
            assertEquals(core, jackson(text), new String(text, StandardCharsets.ISO_8859_1));
            accepted += core ? 1 : 0;
        }
        assertTrue(accepted > 1000 && accepted < 19_000, accepted + " accepted");
    }

    private static boolean core(byte[] text) {
        try {
            JsonReader.read(text);
            return true;
        } catch (InvalidJsonException error) {
            return false;
        }
    }

    private static boolean jackson(byte[] text) {
        try {
            TREES.decode(frame("{}".getBytes(StandardCharsets.UTF_8), text));
            return true;
        } catch (PayloadException error) {
            return false;
        }
    }
}
