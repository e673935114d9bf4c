package io.github.objectstreaming;

/** The stream stopped between two frames, before its end. */
public class StreamIncompleteException extends ObjectStreamException {
    private static final long serialVersionUID = 1L;

    private final long position;

    /**
     * For readers of streams.
     *
     * @param message what happened
     * @param position the number of data frames received
     * @param cause the cause, or {@code null}
     */
    public StreamIncompleteException(String message, long position, Throwable cause) {
        super(message, cause);
        this.position = position;
    }

    @Override
    public String code() {
        return "stream_incomplete";
    }

    /**
     * The number of data frames received.
     *
     * @return the position to resume from
     */
    public final long position() {
        return position;
    }
}
