package io.github.objectstreaming.internal;

/** Why a text is not the JSON that was asked for. Rooms above make it their own documented exception. */
public final class InvalidJsonException extends Exception {
    private static final long serialVersionUID = 1L;

    InvalidJsonException(String message) {
        super(message, null, false, false);
    }
}
