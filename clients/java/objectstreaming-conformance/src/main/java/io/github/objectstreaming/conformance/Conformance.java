package io.github.objectstreaming.conformance;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.objectstreaming.Coder;
import io.github.objectstreaming.EncodeException;
import io.github.objectstreaming.EndPolicy;
import io.github.objectstreaming.Frame;
import io.github.objectstreaming.FrameDecoder;
import io.github.objectstreaming.FrameException;
import io.github.objectstreaming.Layout;
import io.github.objectstreaming.Limits;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.NdArray;
import io.github.objectstreaming.NdArrayCoder;
import io.github.objectstreaming.ObjectStreamException;
import io.github.objectstreaming.PayloadException;
import io.github.objectstreaming.Pcm;
import io.github.objectstreaming.ProtocolException;
import io.github.objectstreaming.RawCoder;
import io.github.objectstreaming.ResponseException;
import io.github.objectstreaming.StreamDecoder;
import io.github.objectstreaming.StreamEncoder;
import io.github.objectstreaming.StreamException;
import io.github.objectstreaming.TalAudio;
import io.github.objectstreaming.TalCoder;
import io.github.objectstreaming.http.ObjectStreamClient;
import io.github.objectstreaming.http.Place;
import io.github.objectstreaming.http.ResponseStream;
import io.github.objectstreaming.json.JsonCoder;
import io.github.objectstreaming.msgpack.MsgpackCoder;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.msgpack.value.Value;

/**
 * The implementation under test of the conformance suite: this client behind the protocol of
 * objectstreaming/conformance/README.md, JSON lines on stdin and stdout.
 */
public final class Conformance {
    private static final HexFormat HEX = HexFormat.of();
    // The runner is trusted; its lines are long.
    private static final ObjectMapper MAPPER = JsonMapper.builder(com.fasterxml.jackson.core.JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxStringLength(Integer.MAX_VALUE)
                            .maxNumberLength(Integer.MAX_VALUE)
                            .build())
                    .build())
            .build();

    private Conformance() {}

    /**
     * Answers a line with a line, until the input ends.
     *
     * @param arguments none
     * @throws IOException if the runner has gone
     */
    public static void main(String[] arguments) throws IOException {
        OutputStream out = new FileOutputStream(FileDescriptor.out);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.ISO_8859_1), 1 << 16);
        for (String line; (line = in.readLine()) != null; ) {
            byte[] answer = MAPPER.writeValueAsBytes(answer(MAPPER.readTree(line)));
            byte[] written = Arrays.copyOf(answer, answer.length + 1);
            written[answer.length] = '\n';
            out.write(written);
        }
    }

    /**
     * Answers one request.
     *
     * @param request as README.md has it
     * @return the answer
     */
    public static ObjectNode answer(JsonNode request) {
        ObjectNode answer = JsonNodeFactory.instance.objectNode();
        answer.set("id", request.path("id"));
        String coder = request.path("coder").asText("json");
        String op = request.path("op").asText();
        if (!List.of("json", "tal", "raw", "msgpack", "ndarray").contains(coder)) {
            return answer.put("skipped", "no coder " + coder);
        }
        switch (op) {
            case "hello" -> {
                answer.put("name", "java 0.1.0");
                answer.put(
                        "features", "decode encode stream fetch resume limits layout json bigint tal msgpack ndarray");
            }
            case "decode" -> decode(request, answer);
            case "encode" -> encode(request, answer);
            case "stream" -> stream(request, coderOf(coder), answer);
            case "fetch", "resume" -> fetch(request, coderOf(coder), answer);
            default -> answer.put("skipped", "no op " + op);
        }
        return answer;
    }

    private static void decode(JsonNode request, ObjectNode answer) {
        FrameDecoder decoder = new FrameDecoder(limitsOf(request), layoutOf(request));
        List<String> frames = new ArrayList<>();
        long fed = 0;
        String error = "";
        try {
            for (byte[] chunk : chunksOf(request)) {
                fed += chunk.length;
                decoder.feed(chunk);
                for (Frame frame; (frame = decoder.next()) != null; ) {
                    frame.header(); // reads it: invalid_header is thrown here
                    frames.add(HEX.formatHex(frame.headerBytes()) + ":" + HEX.formatHex(frame.payload()));
                }
            }
            decoder.finish();
        } catch (FrameException failure) {
            error = placed(failure) + " " + fed;
        }
        answer.put("frames", String.join(" ", frames)).put("error", error);
    }

    private static void encode(JsonNode request, ObjectNode answer) {
        byte[] header = HEX.parseHex(request.path("header").asText());
        byte[] payload = HEX.parseHex(request.path("payload").asText());
        String wire = "";
        String error = "";
        try {
            wire = HEX.formatHex(
                    switch (request.path("coder").asText()) {
                        case "json" -> StreamEncoder.plain(JsonCoder.ofTrees())
                                .data((ObjectNode) MAPPER.readTree(header), MAPPER.readTree(payload));
                        case "tal" -> {
                            TalAudio tal = TalAudio.of(Frame.of(header, payload).header());
                            yield StreamEncoder.plain(new TalCoder()).data(tal, Pcm.of(tal.sampleType(), payload));
                        }
                        default -> Frame.of(header, payload).toBytes(layoutOf(request));
                    });
        } catch (EncodeException failure) {
            error = failure.code();
        } catch (IOException failure) {
            throw new IllegalArgumentException(failure);
        }
        answer.put("wire", wire).put("error", error);
    }

    private static <H, P> void stream(JsonNode request, Coder<H, P> coder, ObjectNode answer) {
        EndPolicy endPolicy =
                switch (request.path("require_end").asText("")) {
                    case "yes" -> EndPolicy.REQUIRED;
                    case "no" -> EndPolicy.OPTIONAL;
                    default -> EndPolicy.AUTO;
                };
        StreamDecoder<H, P> decoder = new StreamDecoder<>(coder, limitsOf(request), endPolicy);
        List<String> frames = new ArrayList<>();
        ObjectStreamException failure = null;
        long fed = 0;
        try {
            for (byte[] chunk : chunksOf(request)) {
                fed += chunk.length;
                decoder.feed(chunk);
                takeAll(decoder::next, frames);
            }
            decoder.finish();
        } catch (ObjectStreamException error) {
            failure = error;
        }
        answer.put("frames", String.join(" ", frames));
        conclude(answer, failure, decoder.ended(), " " + fed);
        answer.put("position", decoder.position());
        answer.put("trailers", json(decoder.trailers().orElse(Map.of())));
    }

    private static <H, P> void fetch(JsonNode request, Coder<H, P> coder, ObjectNode answer) {
        BodyPublisher body = request.hasNonNull("body")
                ? BodyPublishers.ofByteArray(HEX.parseHex(request.get("body").asText()))
                : BodyPublishers.noBody();
        HttpRequest.Builder builder = HttpRequest.newBuilder(
                        URI.create(request.path("url").asText()))
                .method(request.path("method").asText("POST"), body);
        if (request.hasNonNull("body")) {
            builder.header("Content-Type", request.path("content_type").asText("application/json"));
        }
        boolean resumes = request.path("op").asText().equals("resume");
        ObjectStreamClient.Builder client = ObjectStreamClient.builder().limits(limitsOf(request));
        if (resumes) {
            client.resume(Duration.ofSeconds(request.path("patience").asInt(300)));
        }
        List<String> frames = new ArrayList<>();
        ObjectStreamException failure = null;
        boolean answered = true;
        ResponseStream<H, P> messages = null;
        try {
            messages = request.has("position")
                    ? client.build()
                            .resume(
                                    new Place(
                                            builder.build().uri(),
                                            request.get("position").asLong()),
                                    coder)
                    : client.build().send(builder.build(), coder);
            takeSome(messages, frames, request);
        } catch (ObjectStreamException error) {
            failure = error;
        } catch (IOException error) {
            answered = false; // HttpClient's own, passed on as it is
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        } finally {
            if (messages != null) {
                messages.close();
            }
        }
        Map<String, Object> trailers =
                messages == null ? null : messages.trailers().orElse(null);
        answer.put("frames", String.join(" ", frames));
        conclude(answer, failure, trailers != null, "");
        if (!answered) {
            answer.put("error", "no_response");
        }
        answer.put("position", messages == null ? request.path("position").asLong(0) : messages.position());
        answer.put("trailers", json(trailers == null ? Map.of() : trailers));
        if (resumes) {
            Optional<Place> place = messages == null ? Optional.empty() : messages.place();
            answer.put("place", place.map(at -> at.uri() + " " + at.position()).orElse(""));
        }
    }

    /** Takes the messages until the end, or until the program is told to leave. Stops the stream when it is told to. */
    private static <H, P> void takeSome(ResponseStream<H, P> messages, List<String> frames, JsonNode request)
            throws IOException, InterruptedException {
        Source<H, P> source = () -> frames.size() == request.path("leave_after").asInt(-1) ? null : messages.read();
        int stop = request.path("stop_after").asInt(0);
        if (stop > 0) {
            while (frames.size() < stop) {
                frames.add(spelled(messages.read()));
            }
            messages.stop();
        }
        takeAll(source, frames);
    }

    private interface Source<H, P> {
        Message<H, P> next();
    }

    private static <H, P> void takeAll(Source<H, P> source, List<String> frames) {
        while (true) {
            try {
                Message<H, P> message = source.next();
                if (message == null) {
                    return;
                }
                frames.add(spelled(message));
            } catch (PayloadException refused) {
                frames.add("!" + refused.index() + ":" + refused.offset());
            }
        }
    }

    /** {@code end}, {@code error} and {@code message}. */
    private static void conclude(ObjectNode answer, ObjectStreamException failure, boolean ended, String fed) {
        String end = ended ? "ok" : "missing";
        String error = "";
        String message = "";
        if (failure instanceof ResponseException refused) {
            error = "http_status:" + refused.status() + ":" + refused.code();
        } else if (failure instanceof StreamException said) {
            end = "error:" + said.code();
            message = HEX.formatHex(said.text().getBytes(StandardCharsets.UTF_8));
        } else if (failure != null) {
            error = placed(failure) + fed;
        }
        answer.put("end", end).put("error", error).put("message", message);
    }

    private static String placed(ObjectStreamException failure) {
        if (failure instanceof FrameException frame) {
            return frame.code() + " " + frame.index() + " " + frame.offset();
        }
        return failure.code() + " " + (failure instanceof ProtocolException at ? at.index() : "-") + " -";
    }

    /** Header and payload in hex: the header as JSON, the payload as the coder has it on the wire. */
    private static String spelled(Message<?, ?> message) {
        String header = json(message.header() instanceof TalAudio tal ? tal.toMembers() : message.header());
        Object payload = message.payload();
        if (payload instanceof Pcm pcm) {
            return header + ":" + HEX.formatHex(pcm.bytes());
        }
        if (payload instanceof Value value) {
            return header + ":"
                    + HEX.formatHex(new MsgpackCoder().encode(Map.of(), value).payload());
        }
        if (payload instanceof NdArray array) { // with dtype and shape, which the headers of messages do not have
            @SuppressWarnings("unchecked")
            Map<String, Object> members = (Map<String, Object>) message.header();
            return json(new NdArrayCoder().encode(members, array).header()) + ":" + HEX.formatHex(array.bytes());
        }
        return header + ":" + (payload instanceof byte[] bytes ? HEX.formatHex(bytes) : json(payload));
    }

    private static String json(Object value) {
        try {
            return HEX.formatHex(MAPPER.writeValueAsBytes(value));
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }

    private static Coder<?, ?> coderOf(String name) {
        return switch (name) {
            case "tal" -> new TalCoder();
            case "raw" -> new RawCoder();
            case "msgpack" -> new MsgpackCoder();
            case "ndarray" -> new NdArrayCoder();
            default -> JsonCoder.ofTrees();
        };
    }

    private static List<byte[]> chunksOf(JsonNode request) {
        List<byte[]> chunks = new ArrayList<>();
        for (String word : request.path("chunks").asText().split(" ")) {
            if (!word.isEmpty()) {
                chunks.add(word.equals("-") ? new byte[0] : HEX.parseHex(word)); // an empty chunk
            }
        }
        return chunks;
    }

    private static Limits limitsOf(JsonNode request) {
        return new Limits(
                request.path("max_frame").asInt(Limits.DEFAULT.frame()),
                request.path("max_header").asInt(Limits.DEFAULT.header()));
    }

    private static Layout layoutOf(JsonNode request) {
        boolean big = request.path("byte_order").asText().equals("big");
        return new Layout(request.path("byte_length").asInt(4), big ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN);
    }
}
