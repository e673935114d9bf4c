package io.github.objectstreaming.json;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamWriteConstraints;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.core.util.ByteArrayBuilder;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.objectstreaming.Coder;
import io.github.objectstreaming.EncodeException;
import io.github.objectstreaming.Frame;
import io.github.objectstreaming.FrameException;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.PayloadException;
import io.github.objectstreaming.internal.InvalidJsonException;
import io.github.objectstreaming.internal.StrictJson;
import java.io.IOException;
import java.util.Map;

/**
 * The coder {@code json}: headers are JSON objects, payloads are any JSON value (SPEC section 4.1).
 *
 * <pre>{@code
 * record Status(String status, String reason) {}
 * record Answer(String answer, String source) {}
 *
 * JsonCoder<Status, Answer> coder = JsonCoder.of(Status.class, Answer.class);
 * }</pre>
 *
 * <p>JSON is read and written strictly, as SPEC section 2.3 requires, for every mapper: valid UTF-8, no byte order mark,
 * no lone surrogates, no NaN, at most 100 levels, one value and nothing after it. A header that does not fit its type is
 * {@code invalid_header}, a payload {@code invalid_payload}.
 *
 * @param <H> the type of headers
 * @param <P> the type of payloads
 */
public final class JsonCoder<H, P> implements Coder<H, P> {
    // Jackson accepts more than JSON: other encodings, overlong UTF-8, lone surrogates. StrictJson checks some of it
    // before Jackson parses; the rest is set here. The limits of a frame also limit the lengths of strings and names.
    private static final JsonFactory STRICT = JsonFactory.builder()
            .disable(JsonFactory.Feature.CHARSET_DETECTION)
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .enable(JsonWriteFeature.COMBINE_UNICODE_SURROGATES_IN_UTF8)
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(StrictJson.MAX_DEPTH)
                    .maxNumberLength(StrictJson.MAX_DIGITS)
                    .maxStringLength(Integer.MAX_VALUE)
                    .maxNameLength(Integer.MAX_VALUE)
                    .build())
            .streamWriteConstraints(StreamWriteConstraints.builder()
                    .maxNestingDepth(StrictJson.MAX_DEPTH)
                    .build())
            .build();

    private static final ObjectMapper MAPPER = JsonMapper.builder()
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .build();

    private final ObjectReader headerReader;
    private final ObjectReader payloadReader;
    private final ObjectWriter headerWriter;
    private final ObjectWriter payloadWriter;

    private JsonCoder(ObjectMapper mapper, JavaType header, JavaType payload) {
        headerReader = reader(mapper, header);
        payloadReader = reader(mapper, payload);
        headerWriter = writer(mapper, header);
        payloadWriter = writer(mapper, payload);
    }

    private static ObjectReader reader(ObjectMapper mapper, JavaType type) {
        return mapper.readerFor(type).with(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
    }

    private static ObjectWriter writer(ObjectMapper mapper, JavaType type) {
        ObjectWriter writer = mapper.writer().without(SerializationFeature.FLUSH_AFTER_WRITE_VALUE);
        return type.isFinal() ? writer.forType(type) : writer;
    }

    /**
     * Makes a coder for trees.
     *
     * @return a coder
     */
    public static JsonCoder<ObjectNode, JsonNode> ofTrees() {
        return of(ObjectNode.class, JsonNode.class);
    }

    /**
     * Makes a coder for headers as maps, and payloads as maps, lists, strings, numbers, booleans and {@code null}.
     *
     * @return a coder
     */
    public static JsonCoder<Map<String, Object>, Object> ofMaps() {
        return of(MAPPER, new TypeReference<Map<String, Object>>() {}, new TypeReference<Object>() {});
    }

    /**
     * Makes a coder for your own classes. Members that a class does not have are ignored.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param header the class of headers
     * @param payload the class of payloads
     * @return a coder
     */
    public static <H, P> JsonCoder<H, P> of(Class<H> header, Class<P> payload) {
        return of(MAPPER, header, payload);
    }

    /**
     * Makes a coder for your own classes with your own mapper.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param mapper its modules, mix-ins and features are used; do not change it afterwards
     * @param header the class of headers
     * @param payload the class of payloads
     * @return a coder
     */
    public static <H, P> JsonCoder<H, P> of(ObjectMapper mapper, Class<H> header, Class<P> payload) {
        return new JsonCoder<>(mapper, mapper.constructType(header), mapper.constructType(payload));
    }

    /**
     * Makes a coder for your own types, generic ones too, with your own mapper.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param mapper its modules, mix-ins and features are used; do not change it afterwards
     * @param header the type of headers
     * @param payload the type of payloads
     * @return a coder
     */
    public static <H, P> JsonCoder<H, P> of(ObjectMapper mapper, TypeReference<H> header, TypeReference<P> payload) {
        return new JsonCoder<>(mapper, mapper.constructType(header), mapper.constructType(payload));
    }

    @Override
    public String name() {
        return "json";
    }

    @Override
    public byte[] neutralPayload() {
        return new byte[] {'{', '}'};
    }

    @Override
    public Frame encode(H header, P payload) {
        byte[] headerBytes = write(headerWriter, header, "header");
        if (headerBytes[0] != '{') {
            throw new EncodeException("the header is not a JSON object: it is " + header);
        }
        return Frame.ofUnchecked(headerBytes, write(payloadWriter, payload, "payload"));
    }

    private static byte[] write(ObjectWriter writer, Object value, String what) {
        try (ByteArrayBuilder out = new ByteArrayBuilder()) {
            byte[] text;
            try (JsonGenerator generator = new FiniteGenerator(STRICT.createGenerator(out))) {
                writer.writeValue(generator, value);
            }
            text = out.toByteArray();
            StrictJson.check(text, 0, text.length);
            return text;
        } catch (IOException | InvalidJsonException error) {
            throw new EncodeException("the " + what + " is not JSON: " + error.getMessage(), error);
        }
    }

    @Override
    public Message<H, P> decode(Frame frame) {
        H header;
        try {
            header = read(headerReader, frame.headerBytes(), true);
        } catch (IOException | InvalidJsonException error) {
            throw FrameException.invalidHeader(
                    frame, "the header is not what the coder json reads: " + firstLine(error), error);
        }
        try {
            return new Message<>(header, read(payloadReader, frame.payload(), false));
        } catch (IOException | InvalidJsonException error) {
            throw new PayloadException(
                    frame, "the payload is not what the coder json reads: " + firstLine(error), error);
        }
    }

    private static <T> T read(ObjectReader reader, byte[] text, boolean object)
            throws IOException, InvalidJsonException {
        StrictJson.check(text, 0, text.length);
        try (JsonParser parser = STRICT.createParser(text)) {
            JsonToken first = parser.nextToken();
            if (first == null) {
                throw new IOException("empty, where a value is expected");
            }
            if (object && first != JsonToken.START_OBJECT) {
                throw new IOException("an object is expected");
            }
            return reader.readValue(parser);
        }
    }

    /** The first line of the message. The other lines of Jackson quote the source. */
    private static String firstLine(Exception error) {
        return String.valueOf(error.getMessage()).lines().findFirst().orElse("");
    }
}
