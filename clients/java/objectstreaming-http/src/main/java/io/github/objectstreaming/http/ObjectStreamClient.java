package io.github.objectstreaming.http;

import io.github.objectstreaming.Coder;
import io.github.objectstreaming.ContentTypeException;
import io.github.objectstreaming.EndPolicy;
import io.github.objectstreaming.IdleTimeoutException;
import io.github.objectstreaming.Limits;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.StreamDecoder;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * Reads streams over HTTP (SPEC section 6). It is thread-safe: make one and share it.
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
 * <p><b>Checks before the body.</b> The status, the media type and its parameters are checked first. If one is wrong, the
 * exception carries the beginning of the body.
 *
 * <p><b>A cut is never an end.</b> A response of version 1 must have its end frame.
 *
 * <p><b>Silence.</b> A server of version 1 announces a heartbeat in its open frame. If no byte arrives during three
 * heartbeats, the read fails. Only the time spent waiting for the network counts, so a slow reader causes no timeout.
 *
 * <p><b>Never twice.</b> A request is never sent again: a second POST would start a second stream. To resume a stream,
 * send a GET with the header {@code Last-Event-ID} and the {@link ResponseStream#position()}.
 */
public final class ObjectStreamClient {
    /** The content type of a stream of version 1. Its parameters are {@code v} and {@code coder}. */
    public static final String MEDIA_TYPE = "application/vnd.objectstreaming";
    /** The content type of a plain stream. */
    public static final String PLAIN_MEDIA_TYPE = "application/octet-stream";
    /** The default {@code Accept} header: version 1 is preferred, a plain stream is accepted. */
    public static final String ACCEPT = MEDIA_TYPE + ";v=1, " + PLAIN_MEDIA_TYPE + ";q=0.5";

    private static final int HEARTBEATS = 3; // one may be lost on a slow network, one to a busy server
    private static final Duration LONGEST_SILENCE = Duration.ofHours(1); // the upper bound, whatever is announced
    private static final Duration AFTER_END = Duration.ofSeconds(1); // only the end of the body is missing
    private static final Duration BEGINNING_TIME = Duration.ofSeconds(5);
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
     * A client with its own {@link HttpClient} and all defaults.
     *
     * @return a new client
     */
    public static ObjectStreamClient create() {
        return builder().build();
    }

    /**
     * Starts a client with other settings.
     *
     * @return a new builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * Sends a request and waits for the response, not for its body.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param request the request; {@code Accept} and {@code Accept-Encoding} are added if it has none; if it has a
     *     timeout, the timeout limits the wait for the response
     * @param coder reads the messages
     * @return the messages of the answer, which the caller must close
     * @throws io.github.objectstreaming.ResponseException for a status that is not 2xx, with the problem decoded
     * @throws ContentTypeException for a response that is not a stream of this coder
     * @throws IdleTimeoutException if no response arrived in time and the request has no timeout
     * @throws IOException if {@link HttpClient#send} throws it
     * @throws InterruptedException if the thread is interrupted; the request is then cancelled
     */
    public <H, P> ResponseStream<H, P> send(HttpRequest request, Coder<H, P> coder)
            throws IOException, InterruptedException {
        return accept(await(request), coder);
    }

    /**
     * Sends a request. The future completes with the messages of the answer as soon as the response has arrived, or with
     * an exception that {@link #send} throws. Cancelling the future cancels the request.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param request as for {@link #send}
     * @param coder reads the messages
     * @return the messages, which the caller must close
     */
    public <H, P> CompletableFuture<ResponseStream<H, P>> sendAsync(HttpRequest request, Coder<H, P> coder) {
        CompletableFuture<HttpResponse<ResponseBody>> coming =
                client.sendAsync(complete(request), info -> new ResponseBody());
        CompletableFuture<ResponseStream<H, P>> answer = new CompletableFuture<>();
        if (request.timeout().isEmpty()) {
            CompletableFuture.delayedExecutor(longest().toNanos(), TimeUnit.NANOSECONDS)
                    .execute(() -> answer.completeExceptionally(noResponse()));
        }
        answer.whenComplete((stream, error) -> coming.cancel(true)); // does nothing if it is complete
        coming.whenCompleteAsync(
                (response, error) -> {
                    if (error != null) {
                        answer.completeExceptionally(error instanceof CompletionException ? error.getCause() : error);
                        return;
                    }
                    try {
                        ResponseStream<H, P> stream = accept(response, coder);
                        if (!answer.complete(stream)) {
                            stream.close(); // cancelled meanwhile
                        }
                    } catch (RuntimeException refused) {
                        answer.completeExceptionally(refused);
                    }
                },
                executor);
        return answer;
    }

    /**
     * Reads a response that another client has received, with the checks of {@link #send}. How long a read may take is up
     * to the other client: an {@link InputStream} has no timeout.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param response the response
     * @param coder reads the messages
     * @return the messages, which the caller must close
     * @throws io.github.objectstreaming.ResponseException for a status that is not 2xx, with the problem decoded
     * @throws ContentTypeException for a response that is not a stream of this coder
     */
    public <H, P> ResponseStream<H, P> read(HttpResponse<InputStream> response, Coder<H, P> coder) {
        return accept(response, new InputBody(response.body()), coder);
    }

    /**
     * Sends a request when there is a subscriber. The subscriber gets the messages of the answer as it requests them.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param request as for {@link #send}
     * @param coder reads the messages
     * @return a publisher for one subscriber; any exception ends it, and cancelling closes the connection
     */
    public <H, P> Flow.Publisher<Message<H, P>> publish(HttpRequest request, Coder<H, P> coder) {
        return new MessagePublisher<>(() -> send(request, coder), executor);
    }

    private HttpResponse<ResponseBody> await(HttpRequest request) throws IOException, InterruptedException {
        CompletableFuture<HttpResponse<ResponseBody>> coming =
                client.sendAsync(complete(request), info -> new ResponseBody());
        try {
            return request.timeout().isPresent()
                    ? coming.get() // the timeout of the request ends it
                    : coming.get(longest().toNanos(), TimeUnit.NANOSECONDS);
        } catch (TimeoutException error) {
            throw noResponse();
        } catch (ExecutionException error) {
            if (error.getCause() instanceof IOException failed) {
                failed.addSuppressed(
                        new Exception("waited for here")); // the other stack trace is of the client's thread
                throw failed;
            }
            throw new IOException(error.getCause());
        } finally {
            coming.cancel(true); // does nothing if it is complete
        }
    }

    /** How long to wait for a response. */
    private Duration longest() {
        return idleTimeout != null ? idleTimeout : ResponseBody.FIRST_READ;
    }

    private IdleTimeoutException noResponse() {
        return new IdleTimeoutException("no response arrived for " + longest().toMillis() / 1000.0 + " s", 0);
    }

    private HttpRequest complete(HttpRequest request) {
        HttpRequest.Builder builder = HttpRequest.newBuilder(request, (name, value) -> true);
        if (request.headers().firstValue("Accept").isEmpty()) {
            builder.header("Accept", ACCEPT);
        }
        if (request.headers().firstValue("Accept-Encoding").isEmpty()) {
            // Compression holds frames back until a block is full, and makes audio larger.
            builder.header("Accept-Encoding", "identity");
        }
        if (request.version().isEmpty() && "http".equalsIgnoreCase(request.uri().getScheme())) {
            builder.version(HttpClient.Version.HTTP_1_1); // without the header Upgrade: h2c, which servers do not use
        }
        return builder.build();
    }

    private <H, P> ResponseStream<H, P> accept(HttpResponse<ResponseBody> response, Coder<H, P> coder) {
        return accept(response, response.body(), coder);
    }

    private <H, P> ResponseStream<H, P> accept(HttpResponse<?> response, Body body, Coder<H, P> coder) {
        if (response.statusCode() / 100 != 2) {
            byte[] beginning = body.beginning(PROBLEM_SIZE, BEGINNING_TIME);
            throw Problem.of(response.statusCode(), response.headers(), beginning);
        }
        String contentType = response.headers().firstValue("Content-Type").orElse("");
        MediaType type = MediaType.parse(contentType);
        String refusal = refuse(type, response, coder.name());
        if (refusal != null) {
            byte[] beginning = body.beginning(BEGINNING_SIZE, BEGINNING_TIME);
            String begins = beginning.length == 0
                    ? "the body is empty"
                    : "the body begins '" + Problem.excerpt(beginning) + "'";
            throw new ContentTypeException(
                    refusal + "; expected " + MEDIA_TYPE + ";v=1 or " + PLAIN_MEDIA_TYPE + "; " + begins,
                    contentType,
                    beginning);
        }
        // A response with the media type of version 1 always needs an end frame.
        boolean required = endPolicy == EndPolicy.AUTO && type.name().equals(MEDIA_TYPE);
        StreamDecoder<H, P> decoder = new StreamDecoder<>(coder, limits, required ? EndPolicy.REQUIRED : endPolicy);
        body.within(limitOf(decoder), decoder::position);
        return new ResponseStream<>(decoder, response, body);
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

    /** The reason why the response is not a stream of this coder. {@code null} if it is one. */
    private static String refuse(MediaType type, HttpResponse<?> response, String coder) {
        String name = type.name();
        if (!name.equals(MEDIA_TYPE) && !name.equals(PLAIN_MEDIA_TYPE)) {
            return name.isEmpty() ? "the response has no Content-Type" : "the content type is '" + name + "'";
        }
        String version = type.parameters().getOrDefault("v", "");
        if (name.equals(MEDIA_TYPE) && !version.equals("1")) {
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
                : "the Content-Encoding is '" + encoding + "', which is not read here";
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
         * Sets the client that sends requests, for example with a proxy, an authenticator, an executor or TLS.
         *
         * @param value it is not closed by this client
         * @return this
         */
        public Builder httpClient(HttpClient value) {
            client = Objects.requireNonNull(value);
            return this;
        }

        /**
         * Sets the limits of frames and headers.
         *
         * @param value the default is 16 MiB and 64 KiB
         * @return this
         */
        public Builder limits(Limits value) {
            limits = Objects.requireNonNull(value);
            return this;
        }

        /**
         * Sets whether a response without an end frame is an error.
         *
         * @param value by default it is one for a response of version 1, and for a plain one with a control frame
         * @return this
         */
        public Builder endPolicy(EndPolicy value) {
            endPolicy = Objects.requireNonNull(value);
            return this;
        }

        /**
         * Sets how long to wait for the next byte.
         *
         * @param value the default is three of the heartbeats that the server announces, and one minute before it has
         *     announced them
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
         * Sets the executor of publishers. Each publisher blocks one thread; virtual threads are suitable.
         *
         * @param value by default each publisher gets a new daemon thread
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
         * @return a new client
         */
        public ObjectStreamClient build() {
            return new ObjectStreamClient(this);
        }
    }
}
