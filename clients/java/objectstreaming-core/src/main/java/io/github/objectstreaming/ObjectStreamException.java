package io.github.objectstreaming;

/** The root of all exceptions of streams. It is unchecked, so that iterators and lambdas can throw it. */
public abstract class ObjectStreamException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    ObjectStreamException(String message, Throwable cause) {
        super(message, cause);
    }

    /**
     * The code of the specification: {@code "invalid_length"}, {@code "stream_incomplete"}...
     *
     * @return one of the codes of SPEC section 5
     */
    public abstract String code();
}
