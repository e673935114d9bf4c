package io.github.objectstreaming.http;

import io.github.objectstreaming.Coder;
import io.github.objectstreaming.ContentTypeException;
import io.github.objectstreaming.EndPolicy;
import io.github.objectstreaming.IdleTimeoutException;
import io.github.objectstreaming.Limits;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.ObjectStreamException;
import io.github.objectstreaming.StreamDecoder;
import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * Streams over HTTP (SPEC section 6). Thread-safe: make one and share it.
 *
 * <pre>{@code
 * ObjectStreamClient client = ObjectStreamClient.create();
 * HttpRequest request = HttpRequest.newBuilder(uri)
 *         .header("Content-Type", "application/json")
 *         .POST(BodyPublishers.ofString("{\"question\":\"why?\"}"))
 *         .build();
 * try (var stream = client.send(request, JsonCoder.of(Status.class, Answer.class))) {
 *     for (var message : stream) {
 *         show(message.payload());
 *     }
 * }
 * }</pre>
 *
 * <p>The response decides, before a byte of its body: its status, its media type and its parameters are checked, and
 * what is wrong is thrown with the beginning of the body. Then nothing that ends early looks like an end: a response of
 * version 1 must bring its end frame.
 *
 * <p><b>Silence.</b> A server of version 1 says in its open frame how often it will be heard: three of these heartbeats
 * without a byte mean that it is gone. Only time spent waiting for the network counts: a slow reader is no silence.
 *
 * <p><b>Never twice.</b> Nothing is sent again, for a POST that was answered once would be answered twice. To go on
 * where a stream broke off, GET with {@code Last-Event-ID: } and the {@link ResponseStream#position()}.
 */
public final class ObjectStreamClient {
    /** The content type of a stream of version 1; it has the parameters {@code v} and {@code coder}. */
    public static final String MEDIA_TYPE = "application/vnd.objectstreaming";
    /** The content type of a plain stream. */
    public static final String PLAIN_MEDIA_TYPE = "application/octet-stream";
    /** What is sent as {@code Accept} unless the request has its own: version 1, or else plain frames. */
    public static final String ACCEPT = MEDIA_TYPE + ";v=1, " + PLAIN_MEDIA_TYPE + ";q=0.5";

    static final Duration FIRST_READ = Duration.ofSeconds(60); // before the open frame: a model that thinks takes long

    private static final int HEARTBEATS = 3; // one lost to a slow hop, one to a busy server
    private static final Duration LONGEST_SILENCE = Duration.ofHours(1); // a peer may promise to be heard once a year
    private static final Duration AFTER_END = Duration.ofSeconds(1); // only the end of the body is missing
    private static final Duration BEGINNING_PATIENCE = Duration.ofSeconds(5);
    private static final int BEGINNING_SIZE = 256;
    private static final int PROBLEM_SIZE = 16 << 10;

    private final HttpClient client;
    private final Limits limits;
    private final EndPolicy endPolicy;
    private final Duration idleTimeout;
    private final Executor executor;

    private ObjectStreamClient(Builder builder) {
        client = builder.client != null ? builder.client : HttpClient.newHttpClient();
        limits = builder.limits;
        endPolicy = builder.endPolicy;
        idleTimeout = builder.idleTimeout;
        executor = builder.executor;
    }

    /**
     * A client with an {@link HttpClient} of its own and all defaults.
     *
     * @return a new client
     */
    public static ObjectStreamClient create() {
        return builder().build();
    }

    /**
     * A client with settings of your own.
     *
     * @return a new builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * Sends a request and waits for the response, not for its body.
     *
     * @param <H> what the coder makes of headers
     * @param <P> what the coder makes of payloads
     * @param request goes out as it is, with {@code Accept} and {@code Accept-Encoding} where it has none; its timeout,
     *     if it has one, bounds the wait for the response
     * @param coder what reads the messages
     * @return the messages of the answer; to be closed
     * @throws io.github.objectstreaming.ResponseException for a status that is not 2xx, with the problem decoded
     * @throws ContentTypeException for an answer that is no stream of this coder's frames
     * @throws IdleTimeoutException if no response came in time and the request had no timeout
     * @throws IOException what {@link HttpClient#send} throws
     * @throws InterruptedException if the thread is interrupted; the request is then cancelled
     */
    public <H, P> ResponseStream<H, P> send(HttpRequest request, Coder<H, P> coder)
            throws IOException, InterruptedException {
        HttpResponse<ResponseBody> response = await(request);
        ResponseBody body = response.body();
        try {
            return accept(response, coder);
        } catch (ObjectStreamException error) {
            body.close();
            throw error;
        }
    }

    /**
     * Sends a request once there is a subscriber, who gets the messages of the answer as they are asked for.
     *
     * @param <H> what the coder makes of headers
     * @param <P> what the coder makes of payloads
     * @param request as for {@link #send}
     * @param coder what reads the messages
     * @return for one subscriber; any exception ends it, and cancelling closes the connection
     */
    public <H, P> Flow.Publisher<Message<H, P>> publish(HttpRequest request, Coder<H, P> coder) {
        return new MessagePublisher<>(() -> send(request, coder), executor);
    }

    private HttpResponse<ResponseBody> await(HttpRequest request) throws IOException, InterruptedException {
        CompletableFuture<HttpResponse<ResponseBody>> coming =
                client.sendAsync(complete(request), info -> new ResponseBody());
        Duration longest = idleTimeout != null ? idleTimeout : FIRST_READ;
        try {
            return request.timeout().isPresent()
                    ? coming.get() // which the client's own timer ends
                    : coming.get(longest.toNanos(), TimeUnit.NANOSECONDS);
        } catch (TimeoutException error) {
            throw new IdleTimeoutException("no response for " + longest.toMillis() / 1000.0 + " s", 0);
        } catch (ExecutionException error) {
            if (error.getCause() instanceof IOException failed) {
                failed.addSuppressed(new Exception("waited for here")); // the other stack is the client's own
                throw failed;
            }
            throw new IOException(error.getCause());
        } finally {
            coming.cancel(true); // which does nothing once it has come
        }
    }

    private HttpRequest complete(HttpRequest request) {
        HttpRequest.Builder builder = HttpRequest.newBuilder(request, (name, value) -> true);
        if (request.headers().firstValue("Accept").isEmpty()) {
            builder.header("Accept", ACCEPT);
        }
        if (request.headers().firstValue("Accept-Encoding").isEmpty()) {
            // Compression holds frames back until a block is full, and makes sound larger.
            builder.header("Accept-Encoding", "identity");
        }
        if (request.version().isEmpty() && "http".equalsIgnoreCase(request.uri().getScheme())) {
            builder.version(HttpClient.Version.HTTP_1_1); // no Upgrade: h2c, which servers only wonder about
        }
        return builder.build();
    }

    private <H, P> ResponseStream<H, P> accept(HttpResponse<ResponseBody> response, Coder<H, P> coder) {
        ResponseBody body = response.body();
        if (response.statusCode() / 100 != 2) {
            throw Problem.of(response.statusCode(), body.beginning(PROBLEM_SIZE, BEGINNING_PATIENCE));
        }
        String contentType = response.headers().firstValue("Content-Type").orElse("");
        MediaType type = MediaType.parse(contentType);
        String refusal = refuse(type, response, coder.name());
        if (refusal != null) {
            byte[] beginning = body.beginning(BEGINNING_SIZE, BEGINNING_PATIENCE);
            String starts =
                    beginning.length == 0 ? "the body is empty" : "the body begins '" + excerpt(beginning) + "'";
            throw new ContentTypeException(
                    refusal + "; wanted is " + MEDIA_TYPE + ";v=1 or " + PLAIN_MEDIA_TYPE + "; " + starts,
                    contentType,
                    beginning);
        }
        // The media type has promised an end, whatever frames come.
        boolean promised = endPolicy == EndPolicy.AUTO && type.name().equals(MEDIA_TYPE);
        StreamDecoder<H, P> decoder = new StreamDecoder<>(coder, limits, promised ? EndPolicy.REQUIRED : endPolicy);
        body.within(limitOf(decoder), decoder::position);
        return new ResponseStream<>(decoder, response);
    }

    /** How long reads may take: as the server's open frame says, and hardly any time once its end has come. */
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
                    .orElse(FIRST_READ);
            return silence.compareTo(LONGEST_SILENCE) > 0 ? LONGEST_SILENCE : silence;
        };
    }

    /** Why the response is no stream that can be read; {@code null} if it is one. */
    private static String refuse(MediaType type, HttpResponse<?> response, String coder) {
        String name = type.name();
        if (!name.equals(MEDIA_TYPE) && !name.equals(PLAIN_MEDIA_TYPE)) {
            return name.isEmpty() ? "the response has no Content-Type" : "the content type is '" + name + "'";
        }
        String version = type.parameters().get("v");
        if (name.equals(MEDIA_TYPE) && !"1".equals(version)) {
            return "the stream is of version '" + version + "', this reader knows '1'";
        }
        String theirs = type.parameters().getOrDefault("coder", coder);
        if (!theirs.equals(coder)) {
            return "the stream's coder is '" + theirs + "', this reader's '" + coder + "'";
        }
        String encoding = response.headers()
                .firstValue("Content-Encoding")
                .orElse("identity")
                .strip()
                .toLowerCase(Locale.ROOT);
        return encoding.equals("identity") || encoding.isEmpty()
                ? null
                : "its Content-Encoding is '" + encoding + "', which was not asked for and is not read here";
    }

    static String excerpt(byte[] body) {
        int size = Math.min(body.length, BEGINNING_SIZE);
        String text = new String(body, 0, size, StandardCharsets.UTF_8).strip().replaceAll("\\s+", " ");
        return text.substring(0, Math.min(text.length(), 80));
    }

    /** Settings of a client. */
    public static final class Builder {
        private HttpClient client;
        private Limits limits = Limits.DEFAULT;
        private EndPolicy endPolicy = EndPolicy.AUTO;
        private Duration idleTimeout;
        private Executor executor = Builder::newThread;

        private Builder() {}

        /**
         * What sends: with your proxy, authenticator, executor, TLS.
         *
         * @param value shared, and not closed by this client
         * @return this
         */
        public Builder httpClient(HttpClient value) {
            client = Objects.requireNonNull(value);
            return this;
        }

        /**
         * What is accepted of frames and headers.
         *
         * @param value 16 MiB and 64 KiB unless set
         * @return this
         */
        public Builder limits(Limits value) {
            limits = Objects.requireNonNull(value);
            return this;
        }

        /**
         * Whether a response without an end frame is broken.
         *
         * @param value unless set, one of version 1 is, and a plain one that has shown a control frame
         * @return this
         */
        public Builder endPolicy(EndPolicy value) {
            endPolicy = Objects.requireNonNull(value);
            return this;
        }

        /**
         * How much silence is too much.
         *
         * @param value unless set: three of the heartbeats that the server announces, and a minute until it has
         * @return this
         */
        public Builder idleTimeout(Duration value) {
            if (value.isNegative() || value.isZero()) {
                throw new IllegalArgumentException("a timeout is a positive time, not " + value);
            }
            idleTimeout = value;
            return this;
        }

        /**
         * Where publishers read, each on a thread that waits while nothing comes: virtual ones do well.
         *
         * @param value a new daemon thread each, unless set
         * @return this
         */
        public Builder executor(Executor value) {
            executor = Objects.requireNonNull(value);
            return this;
        }

        private static void newThread(Runnable reading) {
            Thread thread = new Thread(reading, "objectstreaming");
            thread.setDaemon(true);
            thread.start();
        }

        /**
         * Makes the client.
         *
         * @return a new one
         */
        public ObjectStreamClient build() {
            return new ObjectStreamClient(this);
        }
    }
}
