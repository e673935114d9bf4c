package io.github.objectstreaming;

/** The bytes are not frames, or a header is not what it must be. The decoder is dead, and throws the same again. */
public final class FrameException extends ObjectStreamException {
    /** A length word that cannot be true: T below its own two words, or H reaching past T. */
    public static final String INVALID_LENGTH = "invalid_length";
    /** T is above {@link Limits#frame()}; refused on the length word alone. */
    public static final String FRAME_TOO_LARGE = "frame_too_large";
    /** H is above {@link Limits#header()}. */
    public static final String HEADER_TOO_LARGE = "header_too_large";
    /** The header is not one strict JSON object, or not what the coder wants. */
    public static final String INVALID_HEADER = "invalid_header";
    /** The bytes ended inside a frame. */
    public static final String TRUNCATED_FRAME = "truncated_frame";

    private static final long serialVersionUID = 1L;

    private final String code;
    private final long index;
    private final long offset;

    FrameException(String code, String message, long index, long offset) {
        this(code, message, index, offset, null);
    }

    FrameException(String code, String message, long index, long offset, Throwable cause) {
        super(message + " (frame " + index + ", byte " + offset + ")", cause);
        this.code = code;
        this.index = index;
        this.offset = offset;
    }

    /**
     * For coders: a header that is JSON, but not what the coder wants.
     *
     * @param frame the frame it was found in
     * @param message what is wrong with it
     * @param cause what found it, or {@code null}
     * @return an exception of code {@link #INVALID_HEADER}
     */
    public static FrameException invalidHeader(Frame frame, String message, Throwable cause) {
        return new FrameException(INVALID_HEADER, message, frame.index(), frame.offset(), cause);
    }

    @Override
    public String code() {
        return code;
    }

    /**
     * Which frame of the stream it was.
     *
     * @return its number from 0, control frames counted
     */
    public long index() {
        return index;
    }

    /**
     * Where in the stream it was.
     *
     * @return the byte from 0: of the length word at fault, for the three codes about lengths, else of the frame
     */
    public long offset() {
        return offset;
    }
}
