package io.github.objectstreaming;

/** A response that succeeded, but is no stream of frames. */
public final class ContentTypeException extends ObjectStreamException {
    private static final long serialVersionUID = 1L;

    private final String contentType;
    private final byte[] beginning;

    /**
     * Made by HTTP clients.
     *
     * @param message what is wrong
     * @param contentType the response's; empty if it had none
     * @param beginning what its body starts with
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
     * The response's content type.
     *
     * @return empty if it had none
     */
    public String contentType() {
        return contentType;
    }

    /**
     * What the body starts with.
     *
     * @return a copy
     */
    public byte[] beginning() {
        return beginning.clone();
    }
}
