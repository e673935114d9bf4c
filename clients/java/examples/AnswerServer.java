import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.github.objectstreaming.EncodeException;
import io.github.objectstreaming.MessageWriter;
import io.github.objectstreaming.StreamEncoder;
import io.github.objectstreaming.StreamErrorCode;
import io.github.objectstreaming.StreamException;
import io.github.objectstreaming.http.ObjectStreamClient;
import io.github.objectstreaming.json.JsonCoder;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** Answers POST /ask with a stream, as the Python server does: java AnswerServer.java 8000 */
public class AnswerServer {
    public record Status(String status) {}

    public record Answer(String answer, String source) {}

    /** Takes the answers of a model; waits while the client is slower. */
    interface Answers {
        void add(Answer answer) throws InterruptedException;
    }

    private static final JsonCoder<Status, Answer> CODER = JsonCoder.of(Status.class, Answer.class);
    private static final Duration HEARTBEAT =
            Duration.ofMillis(Long.getLong("heartbeat", 15_000)); // proxies cut what is silent for longer
    private static final Object END = new Object();
    private static final ExecutorService THREADS = Executors.newCachedThreadPool(AnswerServer::daemon);

    /** The model. It is interrupted when the client leaves. */
    static void think(String question, Answers answers) throws Exception {
        if (question.contains("nothing")) {
            throw new StreamException(StreamErrorCode.NOT_FOUND, "there is no answer to \"" + question + "\"");
        }
        answers.add(new Answer("Frames have lengths.", "spec.md"));
        if (question.contains("wait")) {
            try {
                Thread.sleep(60_000);
            } catch (InterruptedException left) {
                System.out.println("left");
                throw left;
            }
        }
        if (question.contains("fail")) {
            throw new StreamException(StreamErrorCode.UNAVAILABLE, "the model went away");
        }
        if (question.contains("crash")) {
            throw new AssertionError("a bug of the model");
        }
        if (question.contains("half")) {
            answers.add(new Answer("\ud83d", "spec.md"));
        }
        answers.add(new Answer("So a cut is found.", "spec.md"));
    }

    static void answer(HttpExchange exchange) throws IOException, InterruptedException {
        String question = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        // Answers, then END or a Throwable. It is bounded, so that a slow client slows the model down.
        BlockingQueue<Object> items = new ArrayBlockingQueue<>(16);
        Future<?> thinking = THREADS.submit(() -> {
            Object last = END;
            try {
                think(question, items::put);
            } catch (Throwable error) {
                last = error; // also an Error: without a last item the pings would never end
            }
            items.put(last);
            return null;
        });
        try {
            send(exchange, items);
        } finally {
            thinking.cancel(true); // the client has left, if the model is not ready
        }
    }

    private static void send(HttpExchange exchange, BlockingQueue<Object> items)
            throws IOException, InterruptedException {
        // A client that does not ask for version 1 gets a plain stream: data frames only.
        String accept = String.join(",", exchange.getRequestHeaders().getOrDefault("Accept", java.util.List.of()));
        boolean framed = accept.contains(ObjectStreamClient.MEDIA_TYPE);
        // The status waits for the first message, so that an error before it has a status of its own.
        Object item = items.poll(HEARTBEAT.toMillis(), TimeUnit.MILLISECONDS);
        if (item instanceof Throwable error) {
            refuse(exchange, told(error));
            return;
        }
        exchange.getResponseHeaders()
                .set("Content-Type", framed ? ObjectStreamClient.MEDIA_TYPE + ";v=1;coder=json" : "application/octet-stream");
        exchange.getResponseHeaders().set("Cache-Control", "no-store, no-transform");
        exchange.getResponseHeaders().set("X-Accel-Buffering", "no");
        exchange.getResponseHeaders().set("Vary", "Accept");
        exchange.sendResponseHeaders(200, 0); // chunked
        var writer = MessageWriter.of(
                exchange.getResponseBody(), framed ? new StreamEncoder<>(CODER) : StreamEncoder.plain(CODER));
        if (framed) {
            writer.open(HEARTBEAT, Map.of());
        }
        for (; item != END; item = items.poll(HEARTBEAT.toMillis(), TimeUnit.MILLISECONDS)) {
            if (item instanceof Answer answer) {
                try {
                    writer.write(new Status("success"), answer);
                    continue;
                } catch (EncodeException error) {
                    item = error; // half of a surrogate pair, for example
                }
            }
            if (item instanceof Throwable error && framed) {
                writer.fail(told(error));
                break;
            } else if (item instanceof Throwable error) {
                throw new IOException(error); // breaks the connection: a plain stream must not look whole
            } else if (framed) {
                writer.ping(); // nothing came during a heartbeat; fails where the client has left
            }
        }
        if (framed && item == END) {
            writer.end(Map.of());
        }
        writer.close();
    }

    /** What the client may know of an error. */
    private static StreamException told(Throwable error) {
        if (error instanceof StreamException own) {
            return own;
        }
        System.getLogger("AnswerServer").log(System.Logger.Level.ERROR, "a stream failed", error);
        return new StreamException(StreamErrorCode.INTERNAL, "internal error");
    }

    private static void refuse(HttpExchange exchange, StreamException error) throws IOException {
        byte[] body = new ObjectMapper().writeValueAsBytes(Map.of("code", error.code(), "message", error.text()));
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(error.error().httpStatus(), 0);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static Thread daemon(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        return thread;
    }

    /**
     * Starts the server.
     *
     * @param arguments the port
     */
    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
        server.setExecutor(THREADS);
        server.createContext("/ask", exchange -> {
            try {
                answer(exchange);
            } catch (InterruptedException error) {
                throw new IOException(error);
            }
        });
        server.start();
        System.out.println("http://127.0.0.1:" + server.getAddress().getPort() + "/ask");
    }
}
