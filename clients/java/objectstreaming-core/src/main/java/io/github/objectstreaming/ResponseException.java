package io.github.objectstreaming;

/** A response with a status that is not 2xx, its problem decoded. */
public final class ResponseException extends StreamException {
    private static final long serialVersionUID = 1L;

    private final int status;
    private final byte[] body;

    /**
     * For HTTP clients.
     *
     * @param error the code
     * @param text the message of the body
     * @param details the details of the body, or {@code null}
     * @param status the HTTP status
     * @param body the beginning of the body
     */
    public ResponseException(StreamErrorCode error, String text, Object details, int status, byte[] body) {
        super("HTTP " + status + ", " + error.code() + (text.isEmpty() ? "" : ": " + text), error, text, details);
        this.status = status;
        this.body = body.clone();
    }

    /**
     * The HTTP status.
     *
     * @return such as 429
     */
    public int status() {
        return status;
    }

    /**
     * The beginning of the body.
     *
     * @return a copy
     */
    public byte[] body() {
        return body.clone();
    }
}
