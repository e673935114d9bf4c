package io.github.objectstreaming.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Every case of objectstreaming/conformance that is about what this client has, under many chunkings. */
class VectorsTest {
    private static final Path VECTORS = Path.of("../../../objectstreaming/conformance/vectors");
    private static final HexFormat HEX = HexFormat.of();
    private static final Set<String> CODERS = Set.of("json", "tal", "raw", "ndarray");
    private static final Set<String> FEATURES = Set.of("limits", "layout", "json", "bigint", "tal", "ndarray");
    private static final ObjectMapper MAPPER = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNumberLength(Integer.MAX_VALUE)
                            .build())
                    .build())
            .build();
    /** 1 and 1.0 are the same. */
    private static final Comparator<JsonNode> BY_VALUE =
            (a, b) -> a.isNumber() && b.isNumber() ? a.decimalValue().compareTo(b.decimalValue()) : a.equals(b) ? 0 : 1;

    @TestFactory
    Stream<DynamicContainer> everyCase() throws IOException {
        List<DynamicContainer> suites = new ArrayList<>();
        int cases = 0;
        try (DirectoryStream<Path> files = Files.newDirectoryStream(VECTORS, "*.json")) {
            for (Path file : files) {
                JsonNode suite = MAPPER.readTree(file.toFile());
                String op = suite.path("op").asText();
                if (!Set.of("decode", "encode", "stream").contains(op)) {
                    continue;
                }
                List<DynamicTest> tests = new ArrayList<>();
                for (JsonNode test : suite.path("cases")) {
                    if (isOurs(test)) {
                        tests.add(DynamicTest.dynamicTest(test.path("id").asText(), () -> run(op, test)));
                    }
                }
                cases += tests.size();
                if (!tests.isEmpty()) {
                    suites.add(
                            DynamicContainer.dynamicContainer(file.getFileName().toString(), tests));
                }
            }
        }
        assertTrue(cases > 400, "only " + cases + " cases: is " + VECTORS.toAbsolutePath() + " whole?");
        return suites.stream();
    }

    private static boolean isOurs(JsonNode test) {
        for (JsonNode flag : test.path("flags")) {
            if (!FEATURES.contains(flag.asText())) {
                return false;
            }
        }
        return CODERS.contains(test.path("coder").asText("json"));
    }

    private static void run(String op, JsonNode test) throws IOException {
        ObjectNode request = JsonNodeFactory.instance.objectNode().put("op", op);
        if (test.has("coder")) {
            request.put("coder", test.get("coder").asText());
        }
        test.path("limits").properties().forEach(limit -> request.set("max_" + limit.getKey(), limit.getValue()));
        test.path("layout").properties().forEach(part -> request.set(part.getKey(), part.getValue()));
        if (test.has("require_end")) {
            request.put("require_end", test.get("require_end").asBoolean() ? "yes" : "no");
        }
        if (op.equals("encode")) {
            encode(request, test);
            return;
        }
        byte[] wire = unpack(test.path("wire"));
        for (List<byte[]> chunks : chunkings(wire, test.path("id").asText())) {
            StringBuilder words = new StringBuilder();
            for (byte[] chunk : chunks) {
                words.append(chunk.length == 0 ? "-" : HEX.formatHex(chunk)).append(' ');
            }
            request.put("chunks", words.toString());
            JsonNode answer = Conformance.answer(request);
            compareFrames(test, answer.path("frames").asText());
            compareError(test.path("expect").path("error"), answer.path("error").asText(), chunks, op);
            if (op.equals("stream")) {
                compareEnd(test.path("expect"), answer);
            }
        }
    }

    private static void encode(ObjectNode request, JsonNode test) throws IOException {
        request.put("header", HEX.formatHex(unpack(test.path("header"))));
        request.put("payload", HEX.formatHex(unpack(test.path("payload"))));
        JsonNode answer = Conformance.answer(request);
        JsonNode expect = test.path("expect");
        assertEquals(
                expect.path("error").path("code").asText(""),
                answer.path("error").asText());
        if (expect.has("wire")) {
            String wanted = HEX.formatHex(unpack(expect.path("wire")));
            String got = answer.path("wire").asText();
            if (!test.has("coder")) {
                assertEquals(wanted, got);
                return;
            }
            // What a coder writes may be spelled in another way: what counts is what it says.
            request.put("op", "stream");
            assertEquals(
                    Conformance.answer(request.put("chunks", wanted)),
                    Conformance.answer(request.put("chunks", got)),
                    got);
        }
    }

    private static void compareFrames(JsonNode test, String got) throws IOException {
        String[] words = got.isEmpty() ? new String[0] : got.split(" ");
        JsonNode frames = test.path("expect").path("frames");
        assertEquals(frames.size(), words.length, () -> "frames: " + got.substring(0, Math.min(200, got.length())));
        for (int n = 0; n < words.length; n++) {
            JsonNode frame = frames.get(n);
            if (frame.has("refused")) {
                assertEquals(
                        "!" + frame.get("index").asText() + ":"
                                + frame.get("offset").asText(),
                        words[n]);
                continue;
            }
            int colon = words[n].indexOf(':');
            byte[] payload = HEX.parseHex(words[n].substring(colon + 1));
            JsonNode header = frame.get("header");
            assertSame(
                    header.isArray() ? MAPPER.readTree(unpack(header)) : header,
                    MAPPER.readTree(HEX.parseHex(words[n].substring(0, colon))));
            if (frame.has("json")) {
                assertSame(frame.get("json"), MAPPER.readTree(payload));
            } else {
                assertEquals(HEX.formatHex(unpack(frame.path("payload"))), HEX.formatHex(payload));
            }
        }
    }

    private static void compareError(JsonNode expect, String got, List<byte[]> chunks, String op) {
        if (expect.isMissingNode()) {
            assertEquals("", got);
            return;
        }
        String index = expect.path("index").asText("-");
        String offset = expect.path("offset").asText("-");
        String[] words = got.split(" ");
        assertEquals(4, words.length, got);
        assertEquals(
                expect.get("code").asText() + " " + index + " " + offset, words[0] + " " + words[1] + " " + words[2]);
        if (expect.has("by")) {
            // The error must be out with the chunk that has the byte which settles it.
            long by = expect.get("by").asLong();
            long latest = 0;
            for (byte[] chunk : chunks) {
                if (latest >= by) {
                    break;
                }
                latest += chunk.length;
            }
            assertTrue(Long.parseLong(words[3]) <= latest, "out at " + words[3] + ", not by " + latest);
        }
    }

    private static void compareEnd(JsonNode expect, JsonNode answer) throws IOException {
        String end = expect.path("end").asText();
        assertEquals(end, answer.path("end").asText());
        if (expect.has("position")) {
            assertEquals(
                    expect.get("position").asLong(), answer.path("position").asLong());
        }
        if (!end.equals("missing")) {
            if (expect.has("trailers")) {
                assertSame(
                        expect.get("trailers"),
                        MAPPER.readTree(HEX.parseHex(answer.path("trailers").asText())));
            }
            if (expect.has("message")) {
                byte[] message = HEX.parseHex(answer.path("message").asText());
                assertEquals(expect.get("message").asText(), new String(message, StandardCharsets.UTF_8));
            }
        }
    }

    private static void assertSame(JsonNode wanted, JsonNode got) {
        assertTrue(wanted.equals(BY_VALUE, got), () -> got + " instead of " + wanted);
    }

    private static byte[] unpack(JsonNode parts) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        if (parts.isTextual()) {
            bytes.write(HEX.parseHex(parts.asText()));
        }
        for (JsonNode part : parts) {
            if (part.has("file")) {
                bytes.write(Files.readAllBytes(VECTORS.resolve(part.get("file").asText())));
            } else if (part.has("repeat")) {
                byte[] piece = HEX.parseHex(part.get("repeat").asText());
                for (int n = part.get("times").asInt(); n > 0; n--) {
                    bytes.write(piece);
                }
            } else {
                bytes.write(HEX.parseHex(part.asText()));
            }
        }
        return bytes.toByteArray();
    }

    private static List<List<byte[]>> chunkings(byte[] wire, String seed) {
        List<List<byte[]>> chunkings = new ArrayList<>();
        chunkings.add(List.of(wire));
        if (wire.length > 100_000) {
            chunkings.add(cut(wire, 1460));
            return chunkings;
        }
        if (wire.length <= 2048) {
            chunkings.add(cut(wire, 1));
        }
        int step = wire.length <= 128 ? 1 : wire.length / 30;
        for (int at = 0; at < wire.length; at += step) {
            chunkings.add(
                    List.of(Arrays.copyOfRange(wire, 0, at), new byte[0], Arrays.copyOfRange(wire, at, wire.length)));
        }
        Random random = new Random(seed.hashCode());
        List<byte[]> pieces = new ArrayList<>();
        for (int at = 0; at < wire.length; ) {
            int end = Math.min(wire.length, at + random.nextInt(20));
            pieces.add(Arrays.copyOfRange(wire, at, end));
            at = end;
        }
        chunkings.add(pieces);
        return chunkings;
    }

    private static List<byte[]> cut(byte[] wire, int size) {
        List<byte[]> chunks = new ArrayList<>();
        for (int at = 0; at < wire.length; at += size) {
            chunks.add(Arrays.copyOfRange(wire, at, Math.min(wire.length, at + size)));
        }
        return chunks;
    }
}
