package io.github.objectstreaming;

import io.github.objectstreaming.StreamState.Event;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Writes one stream. Each method returns the bytes of one frame. A method that throws {@link EncodeException} changes
 * nothing.
 *
 * <pre>{@code
 * StreamEncoder<JsonNode, JsonNode> encoder = new StreamEncoder<>(JsonCoder.ofTrees());
 * out.write(encoder.open());
 * out.write(encoder.data(header, payload));
 * out.write(encoder.end());
 * }</pre>
 *
 * @param <H> the type of headers
 * @param <P> the type of payloads
 */
public final class StreamEncoder<H, P> {
    private static final byte[] MEMBER = "$stream".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] ESCAPE = "\\u".getBytes(StandardCharsets.US_ASCII);

    private final Coder<H, P> coder;
    private final Limits limits;
    private final boolean plain;
    private StreamState state = StreamState.START;
    private long position;

    /**
     * An encoder of a stream of version 1.
     *
     * @param coder writes the messages
     */
    public StreamEncoder(Coder<H, P> coder) {
        this(coder, Limits.DEFAULT, false);
    }

    private StreamEncoder(Coder<H, P> coder, Limits limits, boolean plain) {
        this.coder = coder;
        this.limits = limits;
        this.plain = plain;
    }

    /**
     * An encoder of a plain stream: data frames only.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param coder writes the messages
     * @return a new encoder
     */
    public static <H, P> StreamEncoder<H, P> plain(Coder<H, P> coder) {
        return new StreamEncoder<>(coder, Limits.DEFAULT, true);
    }

    /**
     * The same encoder with the limits of the receiver. A larger frame is refused here, where the program that made it
     * gets the exception.
     *
     * @param limits the limits of the receiver
     * @return a new encoder
     */
    public StreamEncoder<H, P> withLimits(Limits limits) {
        return new StreamEncoder<>(coder, limits, plain);
    }

    /**
     * The open frame, which comes first.
     *
     * @return its bytes
     * @throws EncodeException if the stream has begun, or is plain
     */
    public byte[] open() {
        return open(null, Map.of());
    }

    /**
     * The open frame, which comes first.
     *
     * @param heartbeat the reader receives something at least this often; {@code null} promises nothing
     * @param metadata an object of the application
     * @return its bytes
     * @throws EncodeException if the stream has begun, or is plain
     */
    public byte[] open(Duration heartbeat, Map<String, ?> metadata) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("v", 1);
        members.put("coder", coder.name());
        if (heartbeat != null) {
            if (heartbeat.isNegative() || heartbeat.isZero()) {
                throw new EncodeException("heartbeat is a positive number of seconds, not " + heartbeat);
            }
            BigDecimal seconds = BigDecimal.valueOf(heartbeat.getSeconds())
                    .add(BigDecimal.valueOf(heartbeat.getNano(), 9))
                    .stripTrailingZeros();
            members.put("heartbeat", seconds.scale() <= 0 ? seconds.toBigInteger() : seconds);
        }
        if (!metadata.isEmpty()) {
            members.put("metadata", metadata);
        }
        return control(Event.OPEN, members);
    }

    /**
     * A data frame.
     *
     * @param header the header
     * @param payload the payload
     * @return its bytes
     * @throws EncodeException if the stream has ended, or the message cannot be sent
     */
    public byte[] data(H header, P payload) {
        StreamState next = step(Event.DATA);
        Frame frame = coder.encode(header, payload);
        // The name may be written with escapes. Most headers contain neither, and are not parsed.
        if (contains(frame.headerBytes(), MEMBER) || contains(frame.headerBytes(), ESCAPE)) {
            checkHeader(frame);
        }
        return write(frame, next);
    }

    /**
     * A data frame that is encoded already, from another stream or an archive. Its header is sent unchanged.
     *
     * @param frame the frame
     * @return its bytes
     * @throws EncodeException if the stream has ended, or the header is not a JSON object or has the member {@code
     *     $stream}, or the frame is beyond the limits
     */
    public byte[] frame(Frame frame) {
        StreamState next = step(Event.DATA);
        checkHeader(frame);
        return write(frame, next);
    }

    private byte[] write(Frame frame, StreamState next) {
        byte[] wire = bytes(frame);
        state = next;
        position++;
        return wire;
    }

    private byte[] bytes(Frame frame) {
        int headerSize = frame.headerBytes().length;
        long size = 8L + headerSize + frame.payload().length;
        if (size > limits.frame() || headerSize > limits.header()) {
            throw new EncodeException("a frame of " + size + " bytes with a header of " + headerSize
                    + " is beyond the limits of " + limits.frame() + " and " + limits.header()
                    + ", which receivers keep to; send it in pieces, or raise the limits on both sides");
        }
        return frame.toBytes();
    }

    /**
     * A ping. It shows the reader, and every proxy between, that the stream is alive.
     *
     * @return its bytes
     * @throws EncodeException if the stream has ended, or is plain
     */
    public byte[] ping() {
        return control(Event.PING, Map.of());
    }

    /**
     * The end frame, which comes last: success.
     *
     * @return its bytes
     * @throws EncodeException if the stream has ended, or is plain
     */
    public byte[] end() {
        return end(Map.of());
    }

    /**
     * The end frame, which comes last: success.
     *
     * @param trailers an object of the application
     * @return its bytes
     * @throws EncodeException if the stream has ended, or is plain
     */
    public byte[] end(Map<String, ?> trailers) {
        return end(trailers, null);
    }

    /**
     * The end frame, which comes last.
     *
     * @param trailers an object of the application
     * @param error the error that ended the stream; {@code null} for success
     * @return its bytes
     * @throws EncodeException if the stream has ended, or is plain
     */
    public byte[] end(Map<String, ?> trailers, StreamException error) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("frames", position);
        if (!trailers.isEmpty()) {
            members.put("trailers", trailers);
        }
        if (error == null) {
            return control(Event.END, members);
        }
        // The peer is to hear of the error in any case: without what is beyond the limits.
        Map<String, Object> reported = new LinkedHashMap<>();
        reported.put("code", error.code());
        reported.put("message", error.text());
        members.put("error", reported);
        if (error.details() != null) {
            reported.put("details", error.details());
            try {
                return control(Event.END, members);
            } catch (EncodeException tooLarge) {
                reported.remove("details");
            }
        }
        try {
            return control(Event.END, members);
        } catch (EncodeException tooLarge) {
            reported.put("message", "the message of this error cannot be sent");
            members.remove("trailers");
            return control(Event.END, members);
        }
    }

    /**
     * The number of data frames written.
     *
     * @return the position
     */
    public long position() {
        return position;
    }

    private byte[] control(Event event, Map<String, Object> members) {
        if (plain) {
            throw new EncodeException(
                    "a plain stream has no control frames, " + event.wireName() + " cannot be sent in it");
        }
        StreamState next = step(event);
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("type", event.wireName());
        value.putAll(members);
        byte[] wire = bytes(Frame.of(Map.of("$stream", value), coder.neutralPayload()));
        state = next;
        return wire;
    }

    private StreamState step(Event event) {
        StreamState next = state.after(event);
        if (next == null) {
            String past = state == StreamState.ENDED ? "ended" : "begun already";
            throw new EncodeException(event.wireName() + " is not allowed: the stream has " + past);
        }
        return next;
    }

    private static void checkHeader(Frame frame) {
        try {
            if (frame.header().containsKey("$stream")) {
                throw new EncodeException("the header member \"$stream\" belongs to control frames");
            }
        } catch (FrameException error) {
            throw new EncodeException(error.getMessage(), error);
        }
    }

    private static boolean contains(byte[] header, byte[] word) {
        search:
        for (int at = 0; at <= header.length - word.length; at++) {
            for (int n = 0; n < word.length; n++) {
                if (header[at + n] != word[n]) {
                    continue search;
                }
            }
            return true;
        }
        return false;
    }
}
