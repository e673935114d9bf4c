package io.github.objectstreaming;

/** Whether a stream without an end frame is an error. */
public enum EndPolicy {
    /** It is an error if the stream has a control frame, because it is then a stream of version 1 (SPEC section 3.4). */
    AUTO,
    /** It is always an error: for streams that are known to be of version 1. */
    REQUIRED,
    /** It is never an error. */
    OPTIONAL
}
