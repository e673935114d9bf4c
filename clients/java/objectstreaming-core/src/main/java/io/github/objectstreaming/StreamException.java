package io.github.objectstreaming;

import java.util.Objects;

/** The peer said that it failed; or, given to {@link StreamEncoder#end}: tell the peer that we did. */
public class StreamException extends ObjectStreamException {
    private static final long serialVersionUID = 1L;

    private final StreamErrorCode error;
    private final String text;
    private final transient Object details;

    /**
     * An error without details.
     *
     * @param error what kind
     * @param text for people; empty if there is nothing to say
     */
    public StreamException(StreamErrorCode error, String text) {
        this(error, text, null);
    }

    /**
     * An error.
     *
     * @param error what kind
     * @param text for people; empty if there is nothing to say
     * @param details any JSON value as maps, lists, strings and numbers; {@code null} for none
     */
    public StreamException(StreamErrorCode error, String text, Object details) {
        this(error.code() + (text.isEmpty() ? "" : ": " + text), error, text, details);
    }

    StreamException(String message, StreamErrorCode error, String text, Object details) {
        super(message, null);
        this.error = Objects.requireNonNull(error);
        this.text = text;
        this.details = details;
    }

    @Override
    public final String code() {
        return error.code();
    }

    /**
     * What kind of failure.
     *
     * @return one of sixteen; those that this version does not know are {@link StreamErrorCode#UNKNOWN}
     */
    public final StreamErrorCode error() {
        return error;
    }

    /**
     * What the peer had to say, as it said it; {@link #getMessage()} has the code in front.
     *
     * @return the text, or an empty string
     */
    public final String text() {
        return text;
    }

    /**
     * What the peer added for programs.
     *
     * @return a JSON value as maps, lists, strings and numbers, or {@code null}; lost when the exception is serialized
     */
    public final Object details() {
        return details;
    }
}
