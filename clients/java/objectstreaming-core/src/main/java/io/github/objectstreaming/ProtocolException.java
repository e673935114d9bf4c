package io.github.objectstreaming;

/** The frames are valid, but not a valid stream. The stream decoder has failed. */
public final class ProtocolException extends ObjectStreamException {
    /** A control frame that SPEC section 3 does not allow. */
    public static final String INVALID_CONTROL = "invalid_control";
    /** A whole frame after the end. */
    public static final String FRAME_AFTER_END = "frame_after_end";
    /** The end frame has another number of data frames than were received. */
    public static final String COUNT_MISMATCH = "count_mismatch";
    /** Frames of speech out of order. */
    public static final String ORDER_GAP = "order_gap";

    private static final long serialVersionUID = 1L;

    private final String code;
    private final long index;

    ProtocolException(String code, String message, long index) {
        super(message + " (" + code + ", frame " + index + ")", null);
        this.code = code;
        this.index = index;
    }

    /**
     * For coders whose frames are numbered.
     *
     * @param frame the frame with the wrong number
     * @param message what is wrong
     * @return an exception of code {@link #ORDER_GAP}
     */
    public static ProtocolException orderGap(Frame frame, String message) {
        return new ProtocolException(ORDER_GAP, message, frame.index());
    }

    @Override
    public String code() {
        return code;
    }

    /**
     * The number of the frame in the stream.
     *
     * @return the number, from 0, control frames included
     */
    public long index() {
        return index;
    }
}
