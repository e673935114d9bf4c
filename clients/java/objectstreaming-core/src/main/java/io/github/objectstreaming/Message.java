package io.github.objectstreaming;

/**
 * What a data frame says, read by the stream's coder.
 *
 * @param <H> what the coder makes of headers
 * @param <P> what the coder makes of payloads
 * @param header the header
 * @param payload the payload; {@code null} where a coder of JSON reads {@code null}
 */
public record Message<H, P>(H header, P payload) {}
