package io.github.objectstreaming;

/** The frame is valid, but its payload is not what the coder reads. The stream can continue. */
public final class PayloadException extends ObjectStreamException {
    private static final long serialVersionUID = 1L;

    private final long index;
    private final long offset;

    /**
     * For coders.
     *
     * @param frame the frame with the payload
     * @param message what is wrong with it
     * @param cause the cause, or {@code null}
     */
    public PayloadException(Frame frame, String message, Throwable cause) {
        super(message + " (invalid_payload, frame " + frame.index() + ", byte " + frame.offset() + ")", cause);
        this.index = frame.index();
        this.offset = frame.offset();
    }

    @Override
    public String code() {
        return "invalid_payload";
    }

    /**
     * The number of the frame in the stream.
     *
     * @return the number, from 0, control frames included
     */
    public long index() {
        return index;
    }

    /**
     * The first byte of the frame in the stream.
     *
     * @return the byte, from 0
     */
    public long offset() {
        return offset;
    }
}
