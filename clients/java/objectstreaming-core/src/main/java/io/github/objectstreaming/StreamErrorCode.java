package io.github.objectstreaming;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** The sixteen codes with which a peer reports an error (SPEC section 5.4). They are those of the Connect protocol. */
public enum StreamErrorCode {
    /** The caller cancelled the request. */
    CANCELED(499),
    /** No other code fits. */
    UNKNOWN(500),
    /** The request is wrong and can never succeed. */
    INVALID_ARGUMENT(400),
    /** The deadline passed. */
    DEADLINE_EXCEEDED(504),
    /** The requested object does not exist. */
    NOT_FOUND(404),
    /** The object to be created exists already. */
    ALREADY_EXISTS(409),
    /** The caller is known but has no permission. */
    PERMISSION_DENIED(403),
    /** A quota, a rate limit or a size limit was exceeded. */
    RESOURCE_EXHAUSTED(429),
    /** The current state does not allow it. A retry does not help. */
    FAILED_PRECONDITION(400),
    /** A conflict. A retry may help. */
    ABORTED(409),
    /** Outside the valid range, such as a position beyond the end. */
    OUT_OF_RANGE(400),
    /** The peer does not support it. */
    UNIMPLEMENTED(501),
    /** An error inside the peer. */
    INTERNAL(500),
    /** Temporarily unavailable. Try again. */
    UNAVAILABLE(503),
    /** Data is lost or corrupt. */
    DATA_LOSS(500),
    /** The caller is not authenticated. */
    UNAUTHENTICATED(401);

    private static final Map<String, StreamErrorCode> BY_CODE = new HashMap<>();

    static {
        for (StreamErrorCode error : values()) {
            BY_CODE.put(error.code, error);
        }
    }

    private final String code = name().toLowerCase(Locale.ROOT);
    private final int httpStatus;

    StreamErrorCode(int httpStatus) {
        this.httpStatus = httpStatus;
    }

    /**
     * The name of the code on the wire.
     *
     * @return such as {@code "not_found"}
     */
    public String code() {
        return code;
    }

    /**
     * The HTTP status of the response if the error occurs before the first frame.
     *
     * @return such as 404
     */
    public int httpStatus() {
        return httpStatus;
    }

    /**
     * The code with this name on the wire.
     *
     * @param code such as {@code "not_found"}
     * @return the code, {@link #UNKNOWN} for an unknown name
     */
    public static StreamErrorCode of(String code) {
        return BY_CODE.getOrDefault(code, UNKNOWN);
    }

    /**
     * The code that fits an HTTP status whose body does not name one.
     *
     * @param status such as 404
     * @return the code, {@link #UNKNOWN} for any other status
     */
    public static StreamErrorCode ofStatus(int status) {
        return switch (status) {
            case 400, 415, 422 -> INVALID_ARGUMENT;
            case 401 -> UNAUTHENTICATED;
            case 403 -> PERMISSION_DENIED;
            case 404 -> NOT_FOUND;
            case 408, 504 -> DEADLINE_EXCEEDED;
            case 409 -> ABORTED;
            case 413, 429 -> RESOURCE_EXHAUSTED;
            case 499 -> CANCELED;
            case 500 -> INTERNAL;
            case 501 -> UNIMPLEMENTED;
            case 502, 503 -> UNAVAILABLE;
            default -> UNKNOWN;
        };
    }
}
