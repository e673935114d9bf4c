package io.github.objectstreaming;

/**
 * The header and the payload of a data frame, read by the coder of the stream.
 *
 * @param <H> the type of headers
 * @param <P> the type of payloads
 * @param header the header
 * @param payload the payload; {@code null} if a coder of JSON reads {@code null}
 */
public record Message<H, P>(H header, P payload) {}
