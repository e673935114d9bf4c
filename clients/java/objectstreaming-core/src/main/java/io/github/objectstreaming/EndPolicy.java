package io.github.objectstreaming;

/** Whether a stream that stops without an end frame is broken. */
public enum EndPolicy {
    /** It is, once it has shown a control frame: then it is of version 1 (SPEC section 3.4). */
    AUTO,
    /** It always is: for streams that are known to be of version 1. */
    REQUIRED,
    /** It never is. */
    OPTIONAL
}
