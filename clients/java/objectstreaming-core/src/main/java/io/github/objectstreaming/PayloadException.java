package io.github.objectstreaming;

/** A frame whose framing is fine and whose payload is not what its coder reads. The stream may go on. */
public final class PayloadException extends ObjectStreamException {
    private static final long serialVersionUID = 1L;

    private final long index;
    private final long offset;

    /**
     * For coders.
     *
     * @param frame the frame it was found in
     * @param message what is wrong with its payload
     * @param cause what found it, or {@code null}
     */
    public PayloadException(Frame frame, String message, Throwable cause) {
        super(message + " (frame " + frame.index() + ", byte " + frame.offset() + ")", cause);
        this.index = frame.index();
        this.offset = frame.offset();
    }

    @Override
    public String code() {
        return "invalid_payload";
    }

    /**
     * Which frame of the stream it was.
     *
     * @return its number from 0, control frames counted
     */
    public long index() {
        return index;
    }

    /**
     * Where in the stream the frame began.
     *
     * @return the byte, from 0
     */
    public long offset() {
        return offset;
    }
}
