package io.github.objectstreaming.http;

import io.github.objectstreaming.Coder;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.MessageStream;
import io.github.objectstreaming.PayloadException;
import io.github.objectstreaming.StreamDecoder;
import io.github.objectstreaming.StreamException;
import io.github.objectstreaming.StreamIncompleteException;
import java.io.IOException;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;

/**
 * The messages of one response. With {@link ObjectStreamClient.Builder#resume} they are those of one stream, over as many
 * responses as it takes. Iterate over it once, or close it, which closes the connection.
 *
 * <p>Closing only leaves a stored stream, which goes on at the server. {@link #stop()} ends it there.
 *
 * @param <H> the type of headers
 * @param <P> the type of payloads
 */
public final class ResponseStream<H, P> implements MessageStream<H, P> {
    private static final Set<String> HEADERS_OF_BODY =
            Set.of("content-type", "content-length", "content-encoding", "transfer-encoding", "last-event-id");

    private final ObjectStreamClient client;
    private final Coder<H, P> coder;
    private final HttpRequest asked; // null if another client received the response, and does not know it
    private final Resumption resumption; // null: one response
    private final CountDownLatch left = new CountDownLatch(1);

    // Of the current response. The thread that reads replaces them.
    private HttpResponse<?> response;
    private StreamDecoder<H, P> decoder;
    private boolean looked;
    private boolean broken;
    private RuntimeException failure;

    private volatile Place place; // its position is that of the beginning
    private MessageStream<H, P> current; // guarded by this
    private CompletableFuture<HttpResponse<ResponseBody>> coming; // guarded by this

    ResponseStream(
            ObjectStreamClient client,
            Coder<H, P> coder,
            HttpRequest asked,
            Duration patience,
            ResponseReader.Incoming<H, P> first) {
        this.client = client;
        this.coder = coder;
        this.asked = asked;
        this.resumption = patience == null ? null : new Resumption(patience, client.waiting(), 0);
        opened(first);
    }

    /** A stream without a response. */
    ResponseStream(ObjectStreamClient client, Coder<H, P> coder, HttpRequest asked, Duration patience, Place place) {
        this.client = client;
        this.coder = coder;
        this.asked = asked;
        this.resumption = new Resumption(patience, client.waiting(), place.position());
        this.place = place;
    }

    /** Asks for the rest of the stream, again and again while the server is out of reach. */
    void begin() throws IOException, InterruptedException {
        while (response == null) {
            try {
                reopen();
            } catch (IOException | RuntimeException error) {
                if (!waitAfter(error)) {
                    throw error;
                }
            }
        }
    }

    @Override
    public Message<H, P> read() {
        if (failure != null) {
            throw failure;
        }
        if (resumption == null) {
            return next();
        }
        while (true) {
            try {
                if (broken) {
                    reopen();
                }
                Message<H, P> message = next();
                if (message == null) {
                    resumption.ended(decoder.position());
                    return null;
                }
                if (resumption.isNew(decoder.position())) {
                    return message;
                }
            } catch (PayloadException refused) {
                if (isNew()) {
                    throw refused;
                }
            } catch (IOException | InterruptedException | RuntimeException error) {
                judge(error);
            }
        }
    }

    private boolean isNew() {
        try {
            return resumption.isNew(decoder.position());
        } catch (StreamException gap) {
            throw failed(gap);
        }
    }

    private RuntimeException failed(RuntimeException error) {
        failure = error;
        close();
        return error;
    }

    private Message<H, P> next() {
        try {
            return current().read();
        } finally {
            look();
        }
    }

    private synchronized MessageStream<H, P> current() {
        return current;
    }

    /** Returns after the time to wait before the next attempt. Throws what ends the reading. */
    private void judge(Exception error) {
        try {
            if (left.getCount() == 0) {
                throw failed(closed());
            }
            if (waitAfter(error)) {
                return;
            }
            if (error instanceof InterruptedException interrupted) {
                throw interrupted;
            }
            throw failed(
                    error instanceof RuntimeException known
                            ? known
                            : new StreamIncompleteException(
                                    "the stream was cut after " + position() + " data frames, and not resumed: "
                                            + error,
                                    position(),
                                    error));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw failed(new CancellationException("the thread was interrupted"));
        }
    }

    private boolean waitAfter(Exception error) throws InterruptedException {
        Optional<Duration> wait = place == null ? Optional.empty() : resumption.waitAfter(error);
        if (wait.isEmpty()) {
            return false;
        }
        MessageStream<H, P> last = current();
        if (last != null) {
            last.close();
        }
        broken = true;
        client.waiting().pause(wait.get(), left);
        return true;
    }

    private void reopen() throws IOException, InterruptedException {
        HttpRequest request = again(place)
                .setHeader("Last-Event-ID", String.valueOf(resumption.position()))
                .GET()
                .build();
        CompletableFuture<HttpResponse<ResponseBody>> answer = start(request);
        opened(client.accept(client.await(answer, request), coder, true));
    }

    private synchronized CompletableFuture<HttpResponse<ResponseBody>> start(HttpRequest request) {
        if (left.getCount() == 0) {
            throw closed();
        }
        CompletableFuture<HttpResponse<ResponseBody>> answer = client.start(request);
        coming = answer;
        return answer;
    }

    private static CancellationException closed() {
        return new CancellationException("the stream was closed before its end");
    }

    /** The first request without its body. */
    private HttpRequest.Builder again(Place at) {
        return HttpRequest.newBuilder(asked, (name, value) -> !HEADERS_OF_BODY.contains(name.toLowerCase(Locale.ROOT)))
                .uri(at.uri())
                .expectContinue(false);
    }

    private synchronized void opened(ResponseReader.Incoming<H, P> incoming) {
        response = incoming.response();
        decoder = incoming.decoder();
        current = MessageStream.of(incoming.body(), decoder);
        looked = false;
        broken = false;
        coming = null;
        if (resumption != null) {
            resumption.opened();
        }
        if (left.getCount() == 0) { // closed meanwhile
            current.close();
        }
    }

    /** Takes the place that the current response has told, if it has. */
    private void look() {
        if (!looked && asked != null && decoder.resume().isPresent()) {
            looked = true;
            Place told =
                    Place.told(response.uri(), asked.uri(), decoder.resume().get(), 0);
            place = told == null ? place : told;
        }
    }

    /**
     * Where to go on after a restart: see {@link ObjectStreamClient#resume}.
     *
     * @return empty if the server has not said that the stream can be resumed; it says so before the first message
     */
    public Optional<Place> place() {
        Place known = place;
        return known == null ? Optional.empty() : Optional.of(new Place(known.uri(), position()));
    }

    /**
     * Ends a stored stream at the server, for everybody: its readers get an end with {@code canceled}. Any thread may call
     * it.
     *
     * @throws IllegalStateException if the server has not said that the stream goes on alone: close it instead
     * @throws io.github.objectstreaming.ResponseException if the server refuses
     * @throws IOException if the server cannot be reached
     * @throws InterruptedException if the thread is interrupted
     */
    public void stop() throws IOException, InterruptedException {
        Place known = place;
        if (known == null) {
            throw new IllegalStateException("the server has not said that the stream goes on alone: close it instead");
        }
        HttpRequest request = again(known).DELETE().build();
        ResponseReader.checkStatus(client.await(client.start(request), request));
    }

    @Override
    public void close() {
        left.countDown();
        synchronized (this) {
            if (coming != null) {
                ObjectStreamClient.abandon(coming);
            }
            if (current != null) {
                current.close();
            }
        }
    }

    @Override
    public long position() {
        return resumption == null ? decoder.position() : resumption.position();
    }

    @Override
    public Optional<Map<String, Object>> trailers() {
        return decoder.trailers();
    }

    @Override
    public Map<String, Object> metadata() {
        return decoder.metadata();
    }

    @Override
    public Optional<Duration> heartbeat() {
        return decoder.heartbeat();
    }

    /**
     * The status of the current response.
     *
     * @return 2xx
     */
    public int statusCode() {
        return response.statusCode();
    }

    /**
     * The headers of the current response.
     *
     * @return all headers
     */
    public HttpHeaders headers() {
        return response.headers();
    }
}
