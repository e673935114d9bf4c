package io.github.objectstreaming.internal;

/** The reason why a text is not the expected JSON. Callers put it into their documented exceptions. */
public final class InvalidJsonException extends Exception {
    private static final long serialVersionUID = 1L;

    InvalidJsonException(String message) {
        super(message, null, false, false);
    }
}
