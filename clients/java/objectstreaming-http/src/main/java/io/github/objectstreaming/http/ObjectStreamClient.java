package io.github.objectstreaming.http;

import io.github.objectstreaming.Coder;
import io.github.objectstreaming.ContentTypeException;
import io.github.objectstreaming.EndPolicy;
import io.github.objectstreaming.IdleTimeoutException;
import io.github.objectstreaming.Limits;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.PayloadException;
import io.github.objectstreaming.StreamException;
import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

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
 * <p><b>Redirects</b> are followed if the {@link HttpClient} follows them, which it does not by default. A 307 or 308 repeats
 * the request with its body, any other one becomes a GET. A redirect that is not followed is a {@link
 * io.github.objectstreaming.ResponseException} that says where it led.
 *
 * <p><b>A cut is never an end.</b> A response of version 1 must have its end frame.
 *
 * <p><b>Silence.</b> A server of version 1 announces a heartbeat in its open frame. If no byte arrives during three
 * heartbeats, the read fails. Only the time spent waiting for the network counts, so a slow reader causes no timeout.
 *
 * <p><b>Never twice.</b> A request is never sent again: a second POST would start a second stream. Over HTTP/2, newer JDKs
 * send again what the server says it has not processed.
 *
 * <p><b>HTTP/2</b> is used where the server has it. If a server resets a stream right after its response, {@link HttpClient}
 * may lose the response: {@link #send} then throws its {@link IOException}. A JDK before 24 gives up streams at a GOAWAY
 * that others finish. Both are errors, and a stream that resumes goes on.
 *
 * <p><b>Resuming.</b> A server that stores its streams says in the open frame where they can be picked up. With {@link
 * Builder#resume} the rest of a stream that was cut is asked for there, with GET. Every message comes once. It is asked for
 * again after a cut, silence, and the statuses 429, 502, 503 and 504, after the time of {@code Retry-After} or a random
 * time that grows with each failure. A gap is {@code data_loss}. Closing the stream and interrupting the thread end a
 * pause at once.
 */
public final class ObjectStreamClient {
    /** The content type of a stream of version 1. Its parameters are {@code v} and {@code coder}. */
    public static final String MEDIA_TYPE = "application/vnd.objectstreaming";
    /** The content type of a plain stream. */
    public static final String PLAIN_MEDIA_TYPE = "application/octet-stream";
    /** The default {@code Accept} header: version 1 is preferred, a plain stream is accepted. */
    public static final String ACCEPT = MEDIA_TYPE + ";v=1, " + PLAIN_MEDIA_TYPE + ";q=0.5";

    private final HttpClient client;
    private final ResponseReader reader;
    private final Executor executor;
    private final Duration patience;
    private final Waiting waiting;

    private ObjectStreamClient(Builder builder) {
        client = builder.client != null ? builder.client : HttpClient.newHttpClient();
        reader = new ResponseReader(builder.limits, builder.endPolicy, builder.idleTimeout);
        executor = builder.executor;
        patience = builder.patience;
        waiting = builder.waiting;
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
        return new ResponseStream<>(
                this, coder, request, patience, accept(await(start(request), request), coder, false));
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
        CompletableFuture<HttpResponse<ResponseBody>> coming = start(request);
        CompletableFuture<ResponseStream<H, P>> answer = new CompletableFuture<>();
        CompletableFuture<Void> tooLong = new CompletableFuture<>();
        tooLong.thenRun(() -> answer.completeExceptionally(noResponse()));
        if (request.timeout().isEmpty()) {
            tooLong.completeOnTimeout(null, TimeUnit.NANOSECONDS.convert(reader.longest()), TimeUnit.NANOSECONDS);
        }
        answer.whenComplete((stream, error) -> {
            tooLong.cancel(true); // so that the timer does not keep the answer
            if (error != null) {
                abandon(coming);
            }
        });
        coming.thenApplyAsync(
                        response -> new ResponseStream<>(
                                this, coder, request, patience, reader.accept(response, response.body(), coder, false)),
                        executor)
                .whenComplete((stream, error) -> {
                    if (error != null) {
                        answer.completeExceptionally(error instanceof CompletionException ? error.getCause() : error);
                    } else if (!answer.complete(stream)) {
                        stream.close(); // cancelled meanwhile
                    }
                });
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
        HttpResponse<?> first = response;
        while (first.previousResponse().isPresent()) { // a redirect
            first = first.previousResponse().get();
        }
        return new ResponseStream<>(
                this,
                coder,
                first.request(),
                null,
                reader.accept(response, new InputBody(response.body()), coder, false));
    }

    /**
     * Asks for the messages of a stored stream that come after a place. If the server cannot be reached, or is busy, it
     * tries again, as described for the class. The stream resumes too.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param place from {@link ResponseStream#place()}
     * @param coder reads the messages
     * @param headers names and values, sent with every request: what authorizes the reader, for example
     * @return the messages, which the caller must close
     * @throws io.github.objectstreaming.ObjectStreamException as {@link #send} throws it
     * @throws IOException if the server could not be reached in time
     * @throws InterruptedException if the thread is interrupted
     */
    public <H, P> ResponseStream<H, P> resume(Place place, Coder<H, P> coder, String... headers)
            throws IOException, InterruptedException {
        ResponseStream<H, P> stream = at(place, coder, headers);
        stream.begin();
        return stream;
    }

    /**
     * Does what {@link #resume} does. A thread of the executor waits. Cancelling the future ends the wait.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param place from {@link ResponseStream#place()}
     * @param coder reads the messages
     * @param headers names and values, sent with every request
     * @return the messages, which the caller must close
     */
    public <H, P> CompletableFuture<ResponseStream<H, P>> resumeAsync(
            Place place, Coder<H, P> coder, String... headers) {
        ResponseStream<H, P> stream = at(place, coder, headers);
        CompletableFuture<ResponseStream<H, P>> answer = new CompletableFuture<>();
        answer.whenComplete((opened, error) -> {
            if (error != null) {
                stream.close();
            }
        });
        executor.execute(() -> {
            try {
                stream.begin();
                answer.complete(stream);
            } catch (Throwable error) {
                answer.completeExceptionally(error);
            }
        });
        return answer;
    }

    private <H, P> ResponseStream<H, P> at(Place place, Coder<H, P> coder, String... headers) {
        HttpRequest.Builder request = HttpRequest.newBuilder(place.uri());
        if (headers.length > 0) {
            request.headers(headers);
        }
        return new ResponseStream<>(
                this, coder, request.build(), patience != null ? patience : Builder.DEFAULT_PATIENCE, place);
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
        return publish(request, coder, refused -> {
            throw refused;
        });
    }

    /**
     * Does what {@link #publish(HttpRequest, Coder)} does, but goes on after a payload that the coder refuses, as an iterator
     * can: a publisher cannot report it to its subscriber without ending.
     *
     * @param <H> the type of headers
     * @param <P> the type of payloads
     * @param request as for {@link #send}
     * @param coder reads the messages
     * @param refused gets the exception of each refused payload, on the thread that reads; what it throws ends the publisher
     * @return a publisher for one subscriber; any other exception ends it, and cancelling closes the connection
     */
    public <H, P> Flow.Publisher<Message<H, P>> publish(
            HttpRequest request, Coder<H, P> coder, Consumer<PayloadException> refused) {
        return new MessagePublisher<>(() -> send(request, coder), refused, executor);
    }

    CompletableFuture<HttpResponse<ResponseBody>> start(HttpRequest request) {
        return client.sendAsync(complete(request), info -> new ResponseBody());
    }

    HttpResponse<ResponseBody> await(CompletableFuture<HttpResponse<ResponseBody>> coming, HttpRequest request)
            throws IOException, InterruptedException {
        try {
            return request.timeout().isPresent()
                    ? coming.get() // the timeout of the request ends it
                    : coming.get(TimeUnit.NANOSECONDS.convert(reader.longest()), TimeUnit.NANOSECONDS);
        } catch (InterruptedException error) {
            abandon(coming);
            throw error;
        } catch (TimeoutException error) {
            abandon(coming);
            throw noResponse();
        } catch (ExecutionException error) {
            if (error.getCause() instanceof IOException failed) {
                failed.addSuppressed(
                        new Exception("waited for here")); // the other stack trace is of the client's thread
                throw failed;
            }
            throw new IOException(error.getCause());
        }
    }

    /** Cancels a request. A response that has come is closed, also while the body of a refusal is read. */
    static void abandon(CompletableFuture<HttpResponse<ResponseBody>> coming) {
        coming.cancel(true);
        coming.thenAccept(response -> response.body().close());
    }

    private IdleTimeoutException noResponse() {
        return new IdleTimeoutException(
                "no response arrived for " + reader.longest().toMillis() / 1000.0 + " s", 0);
    }

    <H, P> ResponseReader.Incoming<H, P> accept(HttpResponse<ResponseBody> response, Coder<H, P> coder, boolean rest)
            throws InterruptedException {
        try {
            return reader.accept(response, response.body(), coder, rest);
        } catch (StreamException | ContentTypeException refused) {
            if (Thread.interrupted()) {
                throw new InterruptedException("interrupted while the body of a refusal was read");
            }
            throw refused;
        }
    }

    Waiting waiting() {
        return waiting;
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

    /** Settings of a client. */
    public static final class Builder {
        private HttpClient client;
        private Limits limits = Limits.DEFAULT;
        private EndPolicy endPolicy = EndPolicy.AUTO;
        private Duration idleTimeout;
        private Executor executor = Builder::newThread;
        private Duration patience;
        private Waiting waiting = new Waiting();

        /** How long {@link ObjectStreamClient#resume} tries, unless {@link #resume} says something else. */
        private static final Duration DEFAULT_PATIENCE = Duration.ofMinutes(5);

        private Builder() {}

        /**
         * Resumes streams that were cut, if the server keeps them.
         *
         * @param patience gives up when the stream was out of reach for this long; five minutes are reasonable
         * @return this
         */
        public Builder resume(Duration patience) {
            if (patience.isNegative() || patience.isZero()) {
                throw new IllegalArgumentException("a patience is a positive time, not " + patience);
            }
            this.patience = patience;
            return this;
        }

        Builder waiting(Waiting value) {
            waiting = value;
            return this;
        }

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
