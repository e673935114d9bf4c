package io.github.objectstreaming;

/** A successful response that is not a stream of frames. */
public final class ContentTypeException extends ObjectStreamException {
    private static final long serialVersionUID = 1L;

    private final String contentType;
    private final byte[] beginning;

    /**
     * For HTTP clients.
     *
     * @param message what is wrong
     * @param contentType the content type of the response, empty if it has none
     * @param beginning the beginning of its body
     */
    public ContentTypeException(String message, String contentType, byte[] beginning) {
        super(message, null);
        this.contentType = contentType;
        this.beginning = beginning.clone();
    }

    @Override
    public String code() {
        return "unexpected_content_type";
    }

    /**
     * The content type of the response.
     *
     * @return the content type, empty if there is none
     */
    public String contentType() {
        return contentType;
    }

    /**
     * The beginning of the body.
     *
     * @return a copy
     */
    public byte[] beginning() {
        return beginning.clone();
    }
}
