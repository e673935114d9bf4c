package io.github.objectstreaming.http;

import io.github.objectstreaming.Coder;
import io.github.objectstreaming.ContentTypeException;
import io.github.objectstreaming.EndPolicy;
import io.github.objectstreaming.Limits;
import io.github.objectstreaming.StreamDecoder;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Locale;
import java.util.function.Supplier;

/** Checks responses before their body is read, and makes the decoder of each. */
record ResponseReader(Limits limits, EndPolicy endPolicy, Duration idleTimeout) {
    private static final int HEARTBEATS = 3; // one may be lost on a slow network, one to a busy server
    private static final Duration LONGEST_SILENCE = Duration.ofHours(1); // the upper bound, whatever is announced
    private static final Duration AFTER_END = Duration.ofSeconds(1); // only the end of the body is missing
    private static final Duration BEGINNING_TIME = Duration.ofSeconds(5);
    private static final int BEGINNING_SIZE = 256;
    private static final int PROBLEM_SIZE = 16 << 10;

    /** A response that is a stream of the coder. */
    record Incoming<H, P>(HttpResponse<?> response, StreamDecoder<H, P> decoder, Body body) {}

    /** How long to wait for a response. */
    Duration longest() {
        return idleTimeout != null ? idleTimeout : ResponseBody.FIRST_READ;
    }

    /** Refuses an answer that is no success, and reads no other. */
    static void checkStatus(HttpResponse<ResponseBody> response) {
        try (ResponseBody body = response.body()) {
            checkStatus(response, body);
        }
    }

    private static void checkStatus(HttpResponse<?> response, Body body) {
        if (response.statusCode() / 100 != 2) {
            byte[] beginning = body.beginning(PROBLEM_SIZE, BEGINNING_TIME);
            throw Problem.of(response.statusCode(), response.headers(), beginning);
        }
    }

    /** Takes a response, or, where {@code rest} is true, the rest of a stream. */
    <H, P> Incoming<H, P> accept(HttpResponse<?> response, Body body, Coder<H, P> coder, boolean rest) {
        checkStatus(response, body);
        String contentType = response.headers().firstValue("Content-Type").orElse("");
        MediaType type = MediaType.parse(contentType);
        String refusal = refuse(type, response, coder.name(), rest);
        if (refusal != null) {
            byte[] beginning = body.beginning(BEGINNING_SIZE, BEGINNING_TIME);
            String begins = beginning.length == 0
                    ? "the body is empty"
                    : "the body begins '" + Problem.excerpt(beginning) + "'";
            throw new ContentTypeException(
                    refusal + "; expected " + ObjectStreamClient.MEDIA_TYPE + ";v=1"
                            + (rest ? "; " : " or " + ObjectStreamClient.PLAIN_MEDIA_TYPE + "; ") + begins,
                    contentType,
                    beginning);
        }
        // A response with the media type of version 1 always needs an end frame.
        boolean required = endPolicy == EndPolicy.AUTO && type.name().equals(ObjectStreamClient.MEDIA_TYPE);
        StreamDecoder<H, P> decoder = new StreamDecoder<>(coder, limits, required ? EndPolicy.REQUIRED : endPolicy);
        body.within(limitOf(decoder), decoder::position);
        return new Incoming<>(response, decoder, body);
    }

    /** The limit for the next read: from the heartbeat of the open frame, and a short one after the end frame. */
    private Supplier<Duration> limitOf(StreamDecoder<?, ?> decoder) {
        return () -> {
            if (decoder.ended()) {
                return AFTER_END;
            }
            if (idleTimeout != null) {
                return idleTimeout;
            }
            Duration silence = decoder.heartbeat()
                    .map(heartbeat -> heartbeat.multipliedBy(HEARTBEATS))
                    .orElse(ResponseBody.FIRST_READ);
            return silence.compareTo(LONGEST_SILENCE) > 0 ? LONGEST_SILENCE : silence;
        };
    }

    /**
     * The reason why the response is not a stream of this coder. {@code null} if it is one. The rest of a stream is no plain
     * stream, which says neither where it begins nor that it is whole.
     */
    private static String refuse(MediaType type, HttpResponse<?> response, String coder, boolean rest) {
        String name = type.name();
        if (!name.equals(ObjectStreamClient.MEDIA_TYPE)
                && (rest || !name.equals(ObjectStreamClient.PLAIN_MEDIA_TYPE))) {
            return name.isEmpty() ? "the response has no Content-Type" : "the content type is '" + name + "'";
        }
        String version = type.parameters().getOrDefault("v", "");
        if (name.equals(ObjectStreamClient.MEDIA_TYPE) && !version.equals("1")) {
            return "the stream is of version '" + version + "', this reader knows '1'";
        }
        String theirs = type.parameters().getOrDefault("coder", coder);
        if (!theirs.equals(coder)) {
            return "the stream's coder is '" + theirs + "', this reader's '" + coder + "'";
        }
        String encoding = String.join(", ", response.headers().allValues("Content-Encoding"))
                .strip()
                .toLowerCase(Locale.ROOT);
        return encoding.equals("identity") || encoding.isEmpty()
                ? null
                : "the Content-Encoding is '" + encoding + "', which is not read here";
    }
}
