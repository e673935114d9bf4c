package io.github.objectstreaming;

/** The message cannot be sent. No byte was written, and nothing has changed. */
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
     * @param cause the cause, or {@code null}
     */
    public EncodeException(String message, Throwable cause) {
        super(message, cause);
    }

    @Override
    public String code() {
        return "encode_error";
    }
}
