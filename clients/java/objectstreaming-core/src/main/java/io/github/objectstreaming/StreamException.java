package io.github.objectstreaming;

import java.util.Objects;

/** The error that the peer reported; or, given to {@link StreamEncoder#end}, the one to report to the peer. */
public class StreamException extends ObjectStreamException {
    private static final long serialVersionUID = 1L;

    private final StreamErrorCode error;
    private final String text;
    private final transient Object details;

    /**
     * An error without details.
     *
     * @param error the code
     * @param text the message for people, may be empty
     */
    public StreamException(StreamErrorCode error, String text) {
        this(error, text, null);
    }

    /**
     * An error.
     *
     * @param error the code
     * @param text the message for people, may be empty
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
     * The code.
     *
     * @return one of sixteen; an unknown code is read as {@link StreamErrorCode#UNKNOWN}
     */
    public final StreamErrorCode error() {
        return error;
    }

    /**
     * The message of the peer. {@link #getMessage()} has the code in front of it.
     *
     * @return the message, may be empty
     */
    public final String text() {
        return text;
    }

    /**
     * The details for programs.
     *
     * @return a JSON value as maps, lists, strings and numbers, or {@code null}; lost if the exception is serialized
     */
    public final Object details() {
        return details;
    }
}
