package io.github.objectstreaming;

/** What was asked to be sent cannot be: thrown before a byte leaves, and nothing has changed. */
public final class EncodeException extends ObjectStreamException {
    private static final long serialVersionUID = 1L;

    /**
     * For coders.
     *
     * @param message what cannot be sent, and why
     */
    public EncodeException(String message) {
        this(message, null);
    }

    /**
     * For coders.
     *
     * @param message what cannot be sent, and why
     * @param cause what found it, or {@code null}
     */
    public EncodeException(String message, Throwable cause) {
        super(message, cause);
    }

    @Override
    public String code() {
        return "encode_error";
    }
}
