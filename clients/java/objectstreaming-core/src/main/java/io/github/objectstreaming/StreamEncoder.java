package io.github.objectstreaming;

import io.github.objectstreaming.StreamState.Event;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Writes one stream: each method gives the bytes of one frame, and throws {@link EncodeException} before anything
 * changes.
 *
 * <pre>{@code
 * StreamEncoder<JsonNode, JsonNode> encoder = new StreamEncoder<>(JsonCoder.ofTrees());
 * out.write(encoder.open());
 * out.write(encoder.data(header, payload));
 * out.write(encoder.end());
 * }</pre>
 *
 * @param <H> what headers are
 * @param <P> what payloads are
 */
public final class StreamEncoder<H, P> {
    private static final byte[] MEMBER = "$stream".getBytes(StandardCharsets.US_ASCII);

    private final Coder<H, P> coder;
    private final Limits limits;
    private final boolean plain;
    private StreamState state = StreamState.START;
    private long position;

    /**
     * An encoder of a stream of version 1.
     *
     * @param coder what writes the messages
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
     * @param <H> what headers are
     * @param <P> what payloads are
     * @param coder what writes the messages
     * @return a new encoder
     */
    public static <H, P> StreamEncoder<H, P> plain(Coder<H, P> coder) {
        return new StreamEncoder<>(coder, Limits.DEFAULT, true);
    }

    /**
     * The same with other limits: those the receiver is expected to keep to. A frame beyond them is refused here,
     * where the program that made it can still be told.
     *
     * @param limits the receiver's
     * @return a new encoder
     */
    public StreamEncoder<H, P> withLimits(Limits limits) {
        return new StreamEncoder<>(coder, limits, plain);
    }

    /**
     * The open frame, first of all.
     *
     * @return its bytes
     * @throws EncodeException if the stream has begun, or is plain
     */
    public byte[] open() {
        return open(null, Map.of());
    }

    /**
     * The open frame, first of all.
     *
     * @param heartbeat within this time the reader will always hear something; {@code null} promises nothing
     * @param metadata the application's
     * @return its bytes
     * @throws EncodeException if the stream has begun, or is plain
     */
    public byte[] open(Duration heartbeat, Map<String, ?> metadata) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("v", 1);
        members.put("coder", coder.name());
        if (heartbeat != null) {
            if (heartbeat.isNegative() || heartbeat.isZero()) {
                throw new EncodeException("a heartbeat is a positive time, not " + heartbeat);
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
     * @param header what the coder writes as its header
     * @param payload what the coder writes as its payload
     * @return its bytes
     * @throws EncodeException if the stream has ended, or the message cannot be sent
     */
    public byte[] data(H header, P payload) {
        step(Event.DATA);
        return frame(coder.encode(header, payload));
    }

    /**
     * A data frame that is encoded already, from another stream or an archive: its header goes out untouched.
     *
     * @param frame the frame
     * @return its bytes
     * @throws EncodeException if the stream has ended, or the frame is a control frame or beyond the limits
     */
    public byte[] frame(Frame frame) {
        StreamState next = step(Event.DATA);
        byte[] header = frame.headerBytes();
        if (contains(header) && isControl(frame)) {
            throw new EncodeException("the header member \"$stream\" belongs to control frames");
        }
        long size = 8L + header.length + frame.payload().length;
        if (size > limits.frame() || header.length > limits.header()) {
            throw new EncodeException("a frame of " + size + " bytes with a header of " + header.length
                    + " is beyond " + limits + ", which the receiver keeps to; send it in pieces, or raise the limits"
                    + " on both sides");
        }
        byte[] wire = frame.toBytes();
        state = next;
        position++;
        return wire;
    }

    /**
     * A ping: it tells the reader, and every proxy between, that the stream is alive.
     *
     * @return its bytes
     * @throws EncodeException if the stream has ended, or is plain
     */
    public byte[] ping() {
        return control(Event.PING, Map.of());
    }

    /**
     * The end frame, last of all: success.
     *
     * @return its bytes
     * @throws EncodeException if the stream has ended, or is plain
     */
    public byte[] end() {
        return end(Map.of());
    }

    /**
     * The end frame, last of all: success.
     *
     * @param trailers the application's
     * @return its bytes
     * @throws EncodeException if the stream has ended, or is plain
     */
    public byte[] end(Map<String, ?> trailers) {
        return end(trailers, null);
    }

    /**
     * The end frame, last of all.
     *
     * @param trailers the application's
     * @param error what ended the stream; {@code null} for success
     * @return its bytes
     * @throws EncodeException if the stream has ended, or is plain
     */
    public byte[] end(Map<String, ?> trailers, StreamException error) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("frames", position);
        if (!trailers.isEmpty()) {
            members.put("trailers", trailers);
        }
        if (error != null) {
            Map<String, Object> said = new LinkedHashMap<>();
            said.put("code", error.code());
            said.put("message", error.text());
            if (error.details() != null) {
                said.put("details", error.details());
            }
            members.put("error", said);
        }
        return control(Event.END, members);
    }

    /**
     * How many data frames have been written.
     *
     * @return the position
     */
    public long position() {
        return position;
    }

    private byte[] control(Event event, Map<String, Object> members) {
        if (plain) {
            throw new EncodeException("a plain stream has no control frames: no " + lower(event));
        }
        StreamState next = step(event);
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("type", lower(event));
        value.putAll(members);
        byte[] wire = Frame.of(Map.of("$stream", value), coder.neutralPayload()).toBytes();
        state = next;
        return wire;
    }

    private StreamState step(Event event) {
        StreamState next = state.after(event);
        if (next == null) {
            String past = state == StreamState.ENDED ? "ended" : "begun already";
            throw new EncodeException(lower(event) + " is not allowed: the stream has " + past);
        }
        return next;
    }

    private static String lower(Event event) {
        return event.name().toLowerCase(Locale.ROOT);
    }

    private static boolean isControl(Frame frame) {
        try {
            return frame.header().containsKey("$stream");
        } catch (FrameException error) {
            throw new EncodeException(error.getMessage(), error);
        }
    }

    private static boolean contains(byte[] header) {
        search:
        for (int at = 0; at <= header.length - MEMBER.length; at++) {
            for (int n = 0; n < MEMBER.length; n++) {
                if (header[at + n] != MEMBER[n]) {
                    continue search;
                }
            }
            return true;
        }
        return false;
    }
}
