package io.github.objectstreaming;

/**
 * Gives headers and payloads their meaning (SPEC section 4). A coder has no state and may be shared.
 *
 * @param <H> what headers are read into and written from
 * @param <P> what payloads are read into and written from
 */
public interface Coder<H, P> {
    /**
     * The name by which both sides agree on it.
     *
     * @return such as {@code "json"}
     */
    String name();

    /**
     * The payload of control frames, which a peer that knows none of them can decode.
     *
     * @return no bytes, unless a coder needs some
     */
    default byte[] neutralPayload() {
        return new byte[0];
    }

    /**
     * Writes a message.
     *
     * @param header the header
     * @param payload the payload
     * @return a loose frame
     * @throws EncodeException if it cannot be sent
     */
    Frame encode(H header, P payload);

    /**
     * Reads a message.
     *
     * @param frame a data frame
     * @return what it says
     * @throws FrameException of code {@link FrameException#INVALID_HEADER}, which ends the stream
     * @throws PayloadException if only the payload is wrong
     */
    Message<H, P> decode(Frame frame);

    /**
     * For coders whose frames are numbered: what looks at the headers of one stream.
     *
     * @return a new one, which knows of no frame yet
     */
    default SequenceCheck<H> newSequenceCheck() {
        return (header, frame) -> {};
    }

    /**
     * Looks at each data frame of a stream in turn.
     *
     * @param <H> what headers are read into
     */
    @FunctionalInterface
    interface SequenceCheck<H> {
        /**
         * Looks at the next frame.
         *
         * @param header its header
         * @param frame where it stood
         * @throws ProtocolException of code {@link ProtocolException#ORDER_GAP}
         */
        void accept(H header, Frame frame);
    }
}
