package io.github.objectstreaming;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** The sixteen ways in which a peer fails: those of the Connect protocol (SPEC section 5.4). */
public enum StreamErrorCode {
    /** The caller gave up. */
    CANCELED(499),
    /** Nothing better fits. */
    UNKNOWN(500),
    /** The request can never succeed. */
    INVALID_ARGUMENT(400),
    /** Time ran out. */
    DEADLINE_EXCEEDED(504),
    /** What was asked for is not there. */
    NOT_FOUND(404),
    /** What was to be made is there. */
    ALREADY_EXISTS(409),
    /** The caller is known and may not. */
    PERMISSION_DENIED(403),
    /** A quota, a rate, a size. */
    RESOURCE_EXHAUSTED(429),
    /** The state does not allow it; retrying will not help. */
    FAILED_PRECONDITION(400),
    /** A conflict; retrying may help. */
    ABORTED(409),
    /** Beyond what is there, such as a position. */
    OUT_OF_RANGE(400),
    /** Not supported by the peer. */
    UNIMPLEMENTED(501),
    /** The peer's own fault. */
    INTERNAL(500),
    /** For now; retry. */
    UNAVAILABLE(503),
    /** Data is gone or corrupt. */
    DATA_LOSS(500),
    /** The caller is not known. */
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
     * The name on the wire.
     *
     * @return such as {@code "not_found"}
     */
    public String code() {
        return code;
    }

    /**
     * The HTTP status to send where the failure comes before the first frame.
     *
     * @return such as 404
     */
    public int httpStatus() {
        return httpStatus;
    }

    /**
     * The constant of a name on the wire.
     *
     * @param code such as {@code "not_found"}
     * @return {@link #UNKNOWN} for a name that this version does not know
     */
    public static StreamErrorCode of(String code) {
        return BY_CODE.getOrDefault(code, UNKNOWN);
    }

    /**
     * The code that fits an HTTP status whose body did not name one.
     *
     * @param status such as 404
     * @return {@link #UNKNOWN} for a status that says nothing
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
