package io.github.objectstreaming.http;

import io.github.objectstreaming.ChunkSource;
import io.github.objectstreaming.MessageStream;
import io.github.objectstreaming.StreamDecoder;
import java.net.http.HttpHeaders;
import java.net.http.HttpResponse;

/**
 * The messages of one response. Iterate over it once, or close it, which closes the connection.
 *
 * @param <H> the type of headers
 * @param <P> the type of payloads
 */
public final class ResponseStream<H, P> extends MessageStream<H, P> {
    private final HttpResponse<?> response;

    ResponseStream(StreamDecoder<H, P> decoder, HttpResponse<?> response, ChunkSource body) {
        super(decoder, body);
        this.response = response;
    }

    /**
     * The status of the response.
     *
     * @return 2xx
     */
    public int statusCode() {
        return response.statusCode();
    }

    /**
     * The headers of the response.
     *
     * @return all headers
     */
    public HttpHeaders headers() {
        return response.headers();
    }
}
