package io.github.objectstreaming;

/** The bytes are not frames, or a header is not valid. The decoder has failed, and throws the same exception again. */
public final class FrameException extends ObjectStreamException {
    /** A length word that cannot be true: T is smaller than its two length words, or H is larger than T leaves. */
    public static final String INVALID_LENGTH = "invalid_length";
    /** T is above {@link Limits#frame()}. Nothing was allocated for it. */
    public static final String FRAME_TOO_LARGE = "frame_too_large";
    /** H is above {@link Limits#header()}. */
    public static final String HEADER_TOO_LARGE = "header_too_large";
    /** The header is not one strict JSON object, or not what the coder reads. */
    public static final String INVALID_HEADER = "invalid_header";
    /** The input ended inside a frame. */
    public static final String TRUNCATED_FRAME = "truncated_frame";

    private static final long serialVersionUID = 1L;

    private final String code;
    private final long index;
    private final long offset;

    FrameException(String code, String message, long index, long offset) {
        this(code, message, index, offset, null);
    }

    FrameException(String code, String message, long index, long offset, Throwable cause) {
        super(message + " (" + code + ", frame " + index + ", byte " + offset + ")", cause);
        this.code = code;
        this.index = index;
        this.offset = offset;
    }

    private FrameException(FrameException same, Throwable cause) {
        super(same.getMessage(), cause);
        code = same.code;
        index = same.index;
        offset = same.offset;
    }

    /**
     * For coders: a header that is not what the coder reads.
     *
     * @param frame the frame with the header
     * @param message what is wrong with it
     * @param cause the cause, or {@code null}
     * @return an exception of code {@link #INVALID_HEADER}
     */
    public static FrameException invalidHeader(Frame frame, String message, Throwable cause) {
        return new FrameException(INVALID_HEADER, message, frame.index(), frame.offset(), cause);
    }

    /** The same exception with a cause: the connection that broke, for example. */
    FrameException because(Throwable cause) {
        return new FrameException(this, cause);
    }

    @Override
    public String code() {
        return code;
    }

    /**
     * The number of the frame in the stream.
     *
     * @return the number, from 0, control frames included
     */
    public long index() {
        return index;
    }

    /**
     * The byte of the stream.
     *
     * @return the byte, from 0: the first byte of the wrong length word, for the three codes of lengths, else of the frame
     */
    public long offset() {
        return offset;
    }
}
