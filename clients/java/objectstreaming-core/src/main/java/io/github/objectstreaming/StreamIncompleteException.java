package io.github.objectstreaming;

/** The stream stopped on a frame boundary, but the end it promised never came. */
public class StreamIncompleteException extends ObjectStreamException {
    private static final long serialVersionUID = 1L;

    private final long position;

    /**
     * Made by those who read.
     *
     * @param message what happened
     * @param position the number of data frames received
     * @param cause what it was noticed by, or {@code null}
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
     * What to resume after.
     *
     * @return the number of data frames received
     */
    public final long position() {
        return position;
    }
}
