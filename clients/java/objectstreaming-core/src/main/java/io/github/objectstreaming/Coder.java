package io.github.objectstreaming;

/**
 * Gives headers and payloads their meaning (SPEC section 4). A coder has no state and can be shared.
 *
 * @param <H> the type of headers
 * @param <P> the type of payloads
 */
public interface Coder<H, P> {
    /**
     * The name of the coder on the wire.
     *
     * @return such as {@code "json"}
     */
    String name();

    /**
     * The payload of control frames. A peer that does not know control frames decodes it without an error.
     *
     * @return no bytes, unless the coder needs some
     */
    default byte[] neutralPayload() {
        return new byte[0];
    }

    /**
     * Writes a message.
     *
     * @param header the header
     * @param payload the payload
     * @return a frame
     * @throws EncodeException if the message cannot be sent
     */
    Frame encode(H header, P payload);

    /**
     * Reads a message.
     *
     * @param frame a data frame
     * @return the message
     * @throws FrameException of code {@link FrameException#INVALID_HEADER}, which ends the stream
     * @throws PayloadException if only the payload is wrong
     */
    Message<H, P> decode(Frame frame);

    /**
     * Returns a check of the order of frames, for coders whose frames are numbered.
     *
     * @return a new check for one stream
     */
    default SequenceCheck<H> newSequenceCheck() {
        return (header, frame) -> {};
    }

    /**
     * Checks the order of the data frames of one stream.
     *
     * @param <H> the type of headers
     */
    @FunctionalInterface
    interface SequenceCheck<H> {
        /**
         * Checks the next frame.
         *
         * @param header its header
         * @param frame the frame, for its place
         * @throws ProtocolException of code {@link ProtocolException#ORDER_GAP}
         */
        void accept(H header, Frame frame);
    }
}
