package io.github.objectstreaming.http;

import io.github.objectstreaming.MessageStream;
import io.github.objectstreaming.StreamDecoder;
import java.net.http.HttpHeaders;
import java.net.http.HttpResponse;

/**
 * The messages of one response: iterate over it, once; or close it, which closes the connection.
 *
 * @param <H> what the coder makes of headers
 * @param <P> what the coder makes of payloads
 */
public final class ResponseStream<H, P> extends MessageStream<H, P> {
    private final HttpResponse<?> response;

    ResponseStream(StreamDecoder<H, P> decoder, HttpResponse<ResponseBody> response) {
        super(decoder, response.body());
        this.response = response;
    }

    /**
     * The status.
     *
     * @return 2xx
     */
    public int statusCode() {
        return response.statusCode();
    }

    /**
     * The response's headers.
     *
     * @return all of them
     */
    public HttpHeaders headers() {
        return response.headers();
    }
}
