package io.github.objectstreaming;

import io.github.objectstreaming.StreamState.Event;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.Optional;

/**
 * Reads one stream: bytes in, in chunks of any size; messages out. Control frames are handled inside. It does no input or
 * output, and is not thread-safe. It is used in the same way as {@link FrameDecoder}.
 *
 * <p>{@link #next()} throws after the valid messages. After a {@link FrameException}, a {@link ProtocolException} or a
 * {@link StreamException} (the peer reported an error in its end frame) the decoder has failed. After a {@link
 * PayloadException} the next call continues with the next frame.
 *
 * @param <H> the type of headers
 * @param <P> the type of payloads
 */
public final class StreamDecoder<H, P> {
    private static final byte[] CONTROL = "{\"$stream\":".getBytes(StandardCharsets.US_ASCII);
    private static final long LONGEST_HEARTBEAT = 1_000_000_000; // seconds; a peer may announce any number

    private final Coder<H, P> coder;
    private final FrameDecoder frames;
    private final EndPolicy endPolicy;
    private Coder.SequenceCheck<H> sequence;
    private StreamState state = StreamState.START;
    private long received; // data frames of this response
    private long before; // data frames of the stream that come before this response
    private String resume;
    private boolean controlled;
    private boolean finished;
    private ObjectStreamException failure;
    private Map<String, Object> trailers;
    private Map<String, Object> metadata = Map.of();
    private Duration heartbeat;

    /**
     * A decoder with the default limits.
     *
     * @param coder reads the messages
     */
    public StreamDecoder(Coder<H, P> coder) {
        this(coder, Limits.DEFAULT, EndPolicy.AUTO);
    }

    /**
     * A decoder.
     *
     * @param coder reads the messages
     * @param limits the limits of frames and headers
     * @param endPolicy whether a stream without an end frame is an error
     */
    public StreamDecoder(Coder<H, P> coder, Limits limits, EndPolicy endPolicy) {
        this.coder = coder;
        this.frames = new FrameDecoder(limits);
        this.endPolicy = endPolicy;
        this.sequence = coder.newSequenceCheck();
    }

    /**
     * Takes all bytes of the chunk. They are copied, so the buffer can be used again at once.
     *
     * @param chunk its position moves to its limit
     * @throws ObjectStreamException again, if the decoder has failed
     * @throws IllegalStateException after {@link #finish()}
     */
    public void feed(ByteBuffer chunk) {
        throwFailure();
        frames.feed(chunk);
    }

    /**
     * Takes all bytes of the chunk. They are copied.
     *
     * @param chunk can be used again at once
     * @throws ObjectStreamException again, if the decoder has failed
     * @throws IllegalStateException after {@link #finish()}
     */
    public void feed(byte[] chunk) {
        feed(ByteBuffer.wrap(chunk));
    }

    /**
     * The next message.
     *
     * @return {@code null} if more bytes are needed, or, after {@link #finish()}, if there is no more message
     * @throws ObjectStreamException as described for the class
     */
    public Message<H, P> next() {
        throwFailure();
        try {
            for (Frame frame; (frame = frames.next()) != null; ) {
                if (isControl(frame.headerBytes())) {
                    control(frame);
                } else {
                    return data(frame);
                }
            }
        } catch (PayloadException refused) {
            // The order of this frame is not known: the next frame may have any, as in a resumed stream.
            sequence = coder.newSequenceCheck();
            throw refused;
        } catch (ObjectStreamException error) {
            failure = error;
            throw error;
        }
        if (finished) {
            complete();
        }
        return null;
    }

    private Message<H, P> data(Frame frame) {
        if (state != StreamState.STREAMING) {
            step(Event.DATA, frame);
        }
        received++;
        Message<H, P> message = coder.decode(frame);
        sequence.accept(message.header(), frame);
        return message;
    }

    /**
     * Tells the decoder that no more bytes will come. Messages that were not read yet can still be read with {@link
     * #next()}, which throws the exception after them.
     *
     * @throws FrameException of code {@link FrameException#TRUNCATED_FRAME} if a frame has begun and is not whole
     * @throws StreamIncompleteException if the end frame is missing
     */
    public void finish() {
        throwFailure();
        finished = true;
        try {
            frames.finish();
        } catch (FrameException error) {
            failure = error;
            throw error;
        }
        if (frames.buffered() == 0) {
            complete();
        }
    }

    private void complete() {
        boolean required = endPolicy == EndPolicy.AUTO ? controlled : endPolicy == EndPolicy.REQUIRED;
        if (required && !ended()) {
            throw new StreamIncompleteException(
                    "the stream stopped after " + position() + " data frames without its end: was it cut?",
                    position(),
                    null);
        }
    }

    private void throwFailure() {
        if (failure != null) {
            throw failure;
        }
    }

    private static boolean isControl(byte[] header) {
        return header.length >= CONTROL.length
                && header[2] == '$'
                && Arrays.equals(header, 0, CONTROL.length, CONTROL, 0, CONTROL.length);
    }

    private void control(Frame frame) {
        controlled = true;
        if (!(frame.header().get("$stream") instanceof Map<?, ?> control)
                || !(control.get("type") instanceof String type)) {
            throw invalid(frame, "$stream is an object with the member type, a string");
        }
        switch (type) {
            case "open" -> {
                step(Event.OPEN, frame);
                opened(control, frame);
            }
            case "ping" -> {
                step(Event.PING, frame);
                checkTime(control, frame);
            }
            case "end" -> {
                step(Event.END, frame);
                ended(control, frame);
            }
            default -> step(Event.OTHER, frame);
        }
    }

    private void step(Event event, Frame frame) {
        StreamState next = state.after(event);
        if (next == null) {
            if (state == StreamState.ENDED) {
                throw new ProtocolException(
                        ProtocolException.FRAME_AFTER_END,
                        "a " + event.wireName() + " frame after the end of the stream",
                        frame.index());
            }
            throw invalid(frame, event.wireName() + " in a stream that has begun already");
        }
        state = next;
    }

    private void opened(Map<?, ?> control, Frame frame) {
        if (!Long.valueOf(1).equals(control.get("v"))) {
            throw invalid(frame, "the stream is of version " + control.get("v") + ", this reader knows 1");
        }
        if (control.containsKey("coder") && !coder.name().equals(control.get("coder"))) {
            throw invalid(frame, "the stream's coder is " + control.get("coder") + ", this reader's " + coder.name());
        }
        Object beat = control.get("heartbeat");
        if (beat != null) {
            if (!(beat instanceof Number seconds) || !(seconds.doubleValue() > 0)) {
                throw invalid(frame, "heartbeat is a positive number of seconds, not " + beat);
            }
            heartbeat = seconds.doubleValue() >= LONGEST_HEARTBEAT
                    ? Duration.ofSeconds(LONGEST_HEARTBEAT)
                    : Duration.ofNanos(Math.max(1, (long) (seconds.doubleValue() * 1e9)));
        }
        metadata = object(control, "metadata", frame);
        if (control.containsKey("position")) {
            before = count(control, "position", frame);
        }
        if (control.containsKey("resume")) {
            if (!(control.get("resume") instanceof String uri)) {
                throw invalid(frame, "resume is a URI reference, a string, not " + control.get("resume"));
            }
            resume = uri;
        }
        checkTime(control, frame);
    }

    /** Of an open, a ping or an end frame: microseconds since the response began. */
    private static void checkTime(Map<?, ?> control, Frame frame) {
        if (control.containsKey("at")) {
            count(control, "at", frame);
        }
    }

    /** An integer of 0 or more. One larger than a {@code long} gives the largest {@code long}. */
    private static long count(Map<?, ?> control, String name, Frame frame) {
        Object count = control.get(name);
        if (count instanceof Long value && value >= 0) {
            return value;
        }
        if (count instanceof BigInteger value && value.signum() >= 0) {
            return Long.MAX_VALUE;
        }
        throw invalid(frame, name + " is an integer of 0 or more, not " + count);
    }

    private void ended(Map<?, ?> control, Frame frame) {
        long frames = count(control, "frames", frame);
        if (frames != received) {
            throw new ProtocolException(
                    ProtocolException.COUNT_MISMATCH,
                    control.get("frames") + " data frames were sent, " + received + " arrived",
                    frame.index());
        }
        checkTime(control, frame);
        Map<String, Object> end = object(control, "trailers", frame);
        StreamException error = control.containsKey("error") ? peerError(control.get("error"), frame) : null;
        trailers = end;
        if (error != null) {
            throw error;
        }
    }

    private StreamException peerError(Object value, Frame frame) {
        if (value instanceof Map<?, ?> error && error.get("code") instanceof String code) {
            Object message = error.containsKey("message") ? error.get("message") : "";
            if (message instanceof String text) {
                return new StreamException(StreamErrorCode.of(code), text, error.get("details"));
            }
        }
        throw invalid(frame, "error is an object with code and message, not " + value);
    }

    @SuppressWarnings("unchecked") // JsonReader makes maps whose keys are strings
    private static Map<String, Object> object(Map<?, ?> control, String name, Frame frame) {
        Object value = control.get(name);
        if (value instanceof Map<?, ?>) {
            return Collections.unmodifiableMap((Map<String, Object>) value);
        }
        if (control.containsKey(name)) {
            throw invalid(frame, name + " is an object, not " + value);
        }
        return Map.of();
    }

    private static ProtocolException invalid(Frame frame, String message) {
        return new ProtocolException(ProtocolException.INVALID_CONTROL, message, frame.index());
    }

    /**
     * The number of data frames received, those with a refused payload included.
     *
     * @return the position to resume from
     */
    public long position() {
        return before + received;
    }

    /**
     * The number of bytes held: of a frame that is not whole yet, and of messages that were not read yet.
     *
     * @return 0 if the input may end here
     */
    public int buffered() {
        return frames.buffered();
    }

    /**
     * Whether the end frame was received, and was valid.
     *
     * @return true also for an end frame with an error
     */
    public boolean ended() {
        return trailers != null;
    }

    /**
     * The trailers of the end frame.
     *
     * @return empty before the end; an empty map if the end frame has none
     */
    public Optional<Map<String, Object>> trailers() {
        return Optional.ofNullable(trailers);
    }

    /**
     * The metadata of the open frame.
     *
     * @return the metadata, empty if there is none
     */
    public Map<String, Object> metadata() {
        return metadata;
    }

    /**
     * The URI reference at which the stream can be picked up (SPEC section 6.3).
     *
     * @return empty if there is none
     */
    public Optional<String> resume() {
        return Optional.ofNullable(resume);
    }

    /**
     * The heartbeat that the open frame announced: the peer sends something at least this often.
     *
     * @return the heartbeat, empty if there is none
     */
    public Optional<Duration> heartbeat() {
        return Optional.ofNullable(heartbeat);
    }
}
