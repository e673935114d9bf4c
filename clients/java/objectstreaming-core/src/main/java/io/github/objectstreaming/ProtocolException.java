package io.github.objectstreaming;

/** Right frames in a wrong stream. The stream decoder is dead. */
public final class ProtocolException extends ObjectStreamException {
    /** A control frame that SPEC section 3 does not allow. */
    public static final String INVALID_CONTROL = "invalid_control";
    /** A whole frame after the end. */
    public static final String FRAME_AFTER_END = "frame_after_end";
    /** The end counts other data frames than came. */
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
     * @param frame the frame that does not follow the one before it
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
     * Which frame of the stream it was.
     *
     * @return its number from 0, control frames counted
     */
    public long index() {
        return index;
    }
}
