package io.github.objectstreaming.http;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.github.objectstreaming.ContentTypeException;
import io.github.objectstreaming.FrameException;
import io.github.objectstreaming.IdleTimeoutException;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.ResponseException;
import io.github.objectstreaming.StreamEncoder;
import io.github.objectstreaming.StreamErrorCode;
import io.github.objectstreaming.json.JsonCoder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.ConnectException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(30)
class ObjectStreamClientTest {
    private static final String V1 = "application/vnd.objectstreaming;v=1;coder=json";
    private static final JsonCoder<ObjectNode, JsonNode> CODER = JsonCoder.ofTrees();
    private static final ObjectStreamClient CLIENT = ObjectStreamClient.create();

    private static byte[] wholeStream(Duration heartbeat) {
        StreamEncoder<ObjectNode, JsonNode> encoder = new StreamEncoder<>(CODER);
        ObjectNode header = JsonNodeFactory.instance.objectNode().put("status", "success");
        ByteArrayOutputStream wire = new ByteArrayOutputStream();
        wire.writeBytes(encoder.open(heartbeat, Map.of("id", "q7")));
        wire.writeBytes(encoder.ping());
        wire.writeBytes(encoder.data(header, TextNode.valueOf("\u00e9\u6f22\ud83d\ude00")));
        wire.writeBytes(encoder.data(header, TextNode.valueOf("No.")));
        wire.writeBytes(encoder.end(Map.of("tokens", 7)));
        return wire.toByteArray();
    }

    private static Server serving(String status, String contentType, byte[] body) throws IOException {
        return new Server(out -> {
            Server.respond(out, status, contentType, body.length, body);
            return true;
        });
    }

    /** Sends the beginning of a stream, and then nothing until the end of the test. */
    private static Server stalling(byte[] body) throws IOException {
        return new Server(out -> {
            Server.respond(out, "200 OK", V1, 1_000_000, body);
            return false;
        });
    }

    private static HttpRequest post(Server server) {
        return HttpRequest.newBuilder(server.uri())
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString("{\"question\":\"why?\"}"))
                .build();
    }

    @Test
    void messagesAndTrailersAreRead() throws Exception {
        try (Server server = serving("200 OK", V1, wholeStream(Duration.ofSeconds(15)));
                ResponseStream<ObjectNode, JsonNode> stream = CLIENT.send(post(server), CODER)) {
            List<String> answers = new ArrayList<>();
            stream.forEach(message -> answers.add(message.payload().asText()));
            assertEquals(List.of("\u00e9\u6f22\ud83d\ude00", "No."), answers);
            assertEquals(200, stream.statusCode());
            assertEquals(V1, stream.headers().firstValue("content-type").orElseThrow());
            assertEquals(Map.of("id", "q7"), stream.metadata());
            assertEquals(Map.of("tokens", 7L), stream.trailers().orElseThrow());
            String request = server.requests.get(0);
            assertTrue(request.startsWith("POST /objects HTTP/1.1\n"), request);
            assertTrue(request.contains("Accept: " + ObjectStreamClient.ACCEPT + "\n"), request);
            assertTrue(request.contains("Accept-Encoding: identity\n"), request);
            assertFalse(request.contains("Upgrade"), request);
            assertTrue(request.endsWith("{\"question\":\"why?\"}"), request);
        }
    }

    @Test
    void headersOfTheRequestAreKept() throws Exception {
        try (Server server = serving("200 OK", "application/octet-stream", new byte[0])) {
            HttpRequest request = HttpRequest.newBuilder(server.uri())
                    .header("Accept", "application/octet-stream")
                    .build();
            try (ResponseStream<ObjectNode, JsonNode> stream = CLIENT.send(request, CODER)) {
                assertNull(stream.read());
                assertFalse(stream.trailers().isPresent());
            }
            assertTrue(server.requests.get(0).contains("Accept: application/octet-stream\n"));
        }
    }

    @Test
    void threeHeartbeatsOfSilenceAreAnIdleTimeout() throws Exception {
        byte[] wire = wholeStream(Duration.ofMillis(50));
        try (Server server = stalling(Arrays.copyOf(wire, wire.length - 1));
                ResponseStream<ObjectNode, JsonNode> stream = CLIENT.send(post(server), CODER)) {
            List<Object> messages = new ArrayList<>();
            IdleTimeoutException error = assertThrows(IdleTimeoutException.class, () -> stream.forEach(messages::add));
            assertEquals(2, messages.size());
            assertEquals(2, error.position());
            assertTrue(server.gone.await(10, TimeUnit.SECONDS), "the connection stayed open");
        }
    }

    @Test
    void theCallerCanSetTheIdleTimeout() throws Exception {
        ObjectStreamClient impatient = ObjectStreamClient.builder()
                .idleTimeout(Duration.ofMillis(150))
                .httpClient(HttpClient.newHttpClient())
                .build();
        try (Server server = stalling(new byte[0])) {
            ResponseStream<ObjectNode, JsonNode> stream = impatient.send(post(server), CODER);
            assertThrows(IdleTimeoutException.class, stream::read);
        }
        try (Server server = new Server(out -> false)) {
            assertThrows(IdleTimeoutException.class, () -> impatient.send(post(server), CODER));
            HttpRequest own = HttpRequest.newBuilder(server.uri())
                    .timeout(Duration.ofMillis(50))
                    .build();
            assertThrows(HttpTimeoutException.class, () -> CLIENT.send(own, CODER));
        }
    }

    @Test
    void closeEndsAReadAndClosesTheConnection() throws Exception {
        byte[] wire = wholeStream(Duration.ofSeconds(60));
        try (Server server = stalling(Arrays.copyOf(wire, wire.length - 1))) {
            ResponseStream<ObjectNode, JsonNode> stream = CLIENT.send(post(server), CODER);
            stream.read();
            stream.read();
            Thread reader = Thread.currentThread();
            Thread closer = new Thread(() -> {
                while (reader.getState() != Thread.State.TIMED_WAITING) {
                    Thread.onSpinWait();
                }
                stream.close();
            });
            closer.start();
            assertThrows(CancellationException.class, stream::read);
            closer.join();
            assertTrue(server.gone.await(10, TimeUnit.SECONDS), "the connection stayed open");
        }
    }

    @Test
    void anInterruptEndsAReadAndStaysSet() throws Exception {
        try (Server server = stalling(new byte[0])) {
            ResponseStream<ObjectNode, JsonNode> stream = CLIENT.send(post(server), CODER);
            Thread.currentThread().interrupt();
            assertThrows(CancellationException.class, stream::read);
            assertTrue(Thread.interrupted());
            Thread.currentThread().interrupt();
            assertThrows(InterruptedException.class, () -> CLIENT.send(post(server), CODER));
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "429 Too Many Requests | {\"code\":\"resource_exhausted\",\"message\":\"slow down\",\"details\":{\"after\":3}}"
                        + " | RESOURCE_EXHAUSTED | slow down",
                "404 Not Found | {\"detail\":\"Not Found\"} | NOT_FOUND | Not Found",
                "422 Unprocessable | {\"detail\":[{\"loc\":[\"body\",\"q\"],\"msg\":\"Field required\"}]}"
                        + " | INVALID_ARGUMENT | body.q: Field required",
                "409 Conflict | {\"detail\":{\"code\":\"already_exists\",\"message\":\"there\"}} | ALREADY_EXISTS | there",
                "503 Unavailable | {\"title\":\"Overloaded\",\"code\":\"new_in_v2\"} | UNAVAILABLE | Overloaded",
                "502 Bad Gateway | <html> bad   gateway | UNAVAILABLE | <html> bad gateway",
                "500 Internal | [] | INTERNAL | ''",
            })
    void aProblemIsDecoded(String status, String body, StreamErrorCode code, String text) throws Exception {
        try (Server server = serving(status, "application/json", body.getBytes(StandardCharsets.UTF_8))) {
            ResponseException error = assertThrows(ResponseException.class, () -> CLIENT.send(post(server), CODER));
            assertEquals(code, error.error());
            assertEquals(text, error.text());
            assertEquals(Integer.parseInt(status.substring(0, 3)), error.status());
            assertArrayEquals(body.getBytes(StandardCharsets.UTF_8), error.body());
        }
    }

    @Test
    void whatIsNoTextIsNotInTheMessage() throws Exception {
        try (Server server =
                        serving("500 Oops", "text/plain", "a\u001b[31mred\u0000b".getBytes(StandardCharsets.UTF_8));
                Server smiling = serving(
                        "500 Oops", "text/plain", "\ud83d\ude00".repeat(60).getBytes(StandardCharsets.UTF_8));
                Server zipped = serving("500 Oops\r\nContent-Encoding: gzip", "text/plain", new byte[] {31, 8})) {
            ResponseException error = assertThrows(ResponseException.class, () -> CLIENT.send(post(server), CODER));
            assertEquals("a\ufffd[31mred\ufffdb", error.text());
            error = assertThrows(ResponseException.class, () -> CLIENT.send(post(zipped), CODER));
            assertEquals("a body of Content-Encoding gzip", error.text());
            error = assertThrows(ResponseException.class, () -> CLIENT.send(post(smiling), CODER));
            assertEquals("\ud83d\ude00".repeat(60), error.text());
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "text/html; charset=utf-8 | the content type is 'text/html'",
                "'' | no Content-Type",
                "application/vnd.objectstreaming | of version ''",
                "application/vnd.objectstreaming;v=2 | of version '2'",
                "application/vnd.objectstreaming; v=1; coder=\"tal\" | coder is 'tal'",
                "'application/octet-stream\nContent-Encoding: identity\nContent-Encoding: br' | is 'identity, br'",
            })
    void aResponseThatIsNotAStreamIsRefusedWithItsBeginning(String contentType, String why) throws Exception {
        try (Server server = serving("200 OK", contentType, "<html>\n  hello".getBytes(StandardCharsets.UTF_8))) {
            ContentTypeException error =
                    assertThrows(ContentTypeException.class, () -> CLIENT.send(post(server), CODER));
            assertTrue(error.getMessage().contains(why), error.getMessage());
            assertTrue(error.getMessage().endsWith("the body begins '<html> hello'"), error.getMessage());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "7, 7",
        "0, 0",
        "'Fri, 04 Nov 1994 08:49:37 GMT', 0",
        "'Sun, 06 Nov 1994 08:49:39 GMT', 2",
        "'Sunday, 06-Nov-94 08:49:39 GMT', 2",
        "Sun Nov  6 08:49:39 1994, 2",
        "soon, ",
        "-1, ",
        "1.5, ",
        "99999999999999999999, 999999999999999999"
    })
    void aRefusalSaysWhenToComeBack(String given, Long seconds) throws Exception {
        String status = "429 Too Many Requests\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: " + given;
        try (Server server = serving(status, "text/plain", new byte[0])) {
            ResponseException error = assertThrows(ResponseException.class, () -> CLIENT.send(post(server), CODER));
            assertEquals(
                    seconds == null ? null : Duration.ofSeconds(seconds),
                    error.retryAfter().orElse(null));
            assertEquals(List.of(given), error.headers().get("RETRY-AFTER"));
        }
    }

    @Test
    void aRedirectSaysWhereItLed() throws Exception {
        try (Server server = serving("307 Temporary Redirect\r\nLocation: /elsewhere", "text/plain", new byte[0])) {
            ResponseException error = assertThrows(ResponseException.class, () -> CLIENT.send(post(server), CODER));
            assertTrue(error.getMessage().contains("redirected to '/elsewhere'"), error.getMessage());
        }
    }

    @Test
    void aFutureCompletesWithTheMessages() throws Exception {
        try (Server server = serving("200 OK", V1, wholeStream(Duration.ofSeconds(15)));
                ResponseStream<ObjectNode, JsonNode> stream =
                        CLIENT.sendAsync(post(server), CODER).get()) {
            assertEquals(2, stream.stream().count());
        }
        try (Server server = serving("404 Not Found", "text/plain", new byte[0])) {
            ExecutionException error =
                    assertThrows(ExecutionException.class, () -> CLIENT.sendAsync(post(server), CODER)
                            .get());
            assertInstanceOf(ResponseException.class, error.getCause());
        }
        ObjectStreamClient impatient =
                ObjectStreamClient.builder().idleTimeout(Duration.ofMillis(50)).build();
        try (Server silent = new Server(out -> false)) {
            ExecutionException error = assertThrows(
                    ExecutionException.class,
                    () -> impatient.sendAsync(post(silent), CODER).get());
            assertInstanceOf(IdleTimeoutException.class, error.getCause());
        }
    }

    @Test
    void aResponseOfAnotherClientIsReadWithAllChecks() throws Exception {
        HttpClient other = HttpClient.newHttpClient();
        try (Server server = serving("200 OK", V1, wholeStream(Duration.ofSeconds(15)));
                ResponseStream<ObjectNode, JsonNode> stream =
                        CLIENT.read(other.send(post(server), BodyHandlers.ofInputStream()), CODER)) {
            assertEquals(2, stream.stream().count());
        }
        byte[] whole = wholeStream(Duration.ofSeconds(15));
        try (Server server = serving("200 OK", V1, Arrays.copyOf(whole, whole.length - 1));
                ResponseStream<ObjectNode, JsonNode> stream =
                        CLIENT.read(other.send(post(server), BodyHandlers.ofInputStream()), CODER)) {
            assertThrows(FrameException.class, () -> stream.stream().count());
        }
        try (Server server = serving("200 OK", "text/html", "<html>".getBytes(StandardCharsets.UTF_8))) {
            var response = other.send(post(server), BodyHandlers.ofInputStream());
            assertThrows(ContentTypeException.class, () -> CLIENT.read(response, CODER));
        }
        try (Server server = new Server(out -> {
            Server.respond(out, "500 Oops", "text/plain", 100, "the reason".getBytes(StandardCharsets.UTF_8));
            return true;
        })) {
            var response = other.send(post(server), BodyHandlers.ofInputStream());
            ResponseException error = assertThrows(ResponseException.class, () -> CLIENT.read(response, CODER));
            assertEquals("the reason", error.text());
        }
    }

    @Test
    void anExecutorThatRefusesItsTaskFailsTheFutureAndThePublisher() throws Exception {
        ObjectStreamClient busy = ObjectStreamClient.builder()
                .executor(task -> {
                    throw new RejectedExecutionException("busy");
                })
                .build();
        try (Server server = stalling(wholeStream(null))) {
            ExecutionException error = assertThrows(ExecutionException.class, () -> busy.sendAsync(post(server), CODER)
                    .get());
            assertInstanceOf(RejectedExecutionException.class, error.getCause());
            assertTrue(server.gone.await(10, TimeUnit.SECONDS), "the connection stayed open");
            Recorder recorder = new Recorder();
            busy.publish(post(server), CODER).subscribe(recorder);
            assertEquals("RejectedExecutionException", recorder.next());
        }
    }

    /** Sends a refusal whose body never ends. */
    private static Server refusing() throws IOException {
        return new Server(out -> {
            Server.respond(out, "503 Busy", "text/plain", 1000, "because".getBytes(StandardCharsets.UTF_8));
            return false;
        });
    }

    @Test
    void aCancelWhileTheBodyOfARefusalIsReadEndsItAtOnce() throws Exception {
        CompletableFuture<Thread> reading = new CompletableFuture<>();
        CompletableFuture<Void> ended = new CompletableFuture<>();
        ObjectStreamClient client = ObjectStreamClient.builder()
                .resume(Duration.ofHours(1))
                .executor(work -> new Thread(() -> {
                            reading.complete(Thread.currentThread());
                            work.run();
                            ended.complete(null);
                        })
                        .start())
                .build();
        try (Server server = refusing()) {
            CompletableFuture<?> coming = client.sendAsync(post(server), CODER);
            while (reading.get().getState() != Thread.State.TIMED_WAITING) {
                Thread.onSpinWait();
            }
            coming.cancel(true);
            assertTrue(server.gone.await(10, TimeUnit.SECONDS), "the connection stayed open");
            ended.get(10, TimeUnit.SECONDS);
        }
        try (Server server = refusing()) {
            HttpResponse<ResponseBody> refusal = CLIENT.start(post(server)).get();
            Thread.currentThread().interrupt();
            assertThrows(InterruptedException.class, () -> CLIENT.accept(refusal, CODER, false));
            assertTrue(server.gone.await(10, TimeUnit.SECONDS), "the connection stayed open");
        }
    }

    @Test
    void aResponseThatComesWhenTheWaitIsOverIsClosed() throws Exception {
        for (Exception over : List.of(new TimeoutException(), new InterruptedException())) {
            try (Server server = stalling(wholeStream(null))) {
                HttpResponse<ResponseBody> late = CLIENT.start(post(server)).get();
                CompletableFuture<HttpResponse<ResponseBody>> coming = new CompletableFuture<>() {
                    @Override
                    public HttpResponse<ResponseBody> get(long time, TimeUnit unit)
                            throws TimeoutException, InterruptedException {
                        complete(late);
                        if (over instanceof TimeoutException timeout) {
                            throw timeout;
                        }
                        throw (InterruptedException) over;
                    }
                };
                assertThrows(Exception.class, () -> CLIENT.await(coming, post(server)));
                assertTrue(server.gone.await(10, TimeUnit.SECONDS), "the connection stayed open");
            }
        }
    }

    @Test
    void aTimeoutMayBeUnlimited() throws Exception {
        ObjectStreamClient patient = ObjectStreamClient.builder()
                .idleTimeout(ChronoUnit.FOREVER.getDuration())
                .build();
        try (Server server = serving("200 OK", V1, wholeStream(null));
                var stream = patient.send(post(server), CODER);
                var later = patient.sendAsync(post(server), CODER).get()) {
            assertEquals(4, stream.stream().count() + later.stream().count());
        }
    }

    @Test
    void aMediaTypeIsReadInAnySpelling() {
        MediaType type = MediaType.parse("Application/VND.objectstreaming ; V=\"1\";coder=\"j\\son\"; a=\"x;y\"; b");
        assertEquals("application/vnd.objectstreaming", type.name());
        assertEquals(Map.of("v", "1", "coder", "json", "a", "x;y"), type.parameters());
    }

    @Test
    void withoutAServerTheExceptionOfTheClientIsThrown() throws IOException {
        Server server = serving("200 OK", V1, new byte[0]);
        server.close();
        assertThrows(ConnectException.class, () -> CLIENT.send(post(server), CODER));
    }

    @Test
    void aPublisherPublishesRequestedMessagesAndReportsTheEnd() throws Exception {
        try (Server server = serving("200 OK", V1, wholeStream(null))) {
            Recorder recorder = new Recorder();
            Flow.Publisher<Message<ObjectNode, JsonNode>> publisher = CLIENT.publish(post(server), CODER);
            publisher.subscribe(recorder);
            recorder.subscription.request(1);
            assertEquals("\u00e9\u6f22\ud83d\ude00", recorder.next());
            assertNull(recorder.events.poll(50, TimeUnit.MILLISECONDS));
            recorder.subscription.request(1);
            assertEquals("No.", recorder.next());
            assertEquals("complete", recorder.next());
            Recorder second = new Recorder();
            publisher.subscribe(second);
            assertEquals("IllegalStateException", second.next());
            assertEquals(1, server.requests.size());
        }
    }

    @Test
    void aPublisherReportsACutAfterTheWholeMessages() throws Exception {
        byte[] wire = wholeStream(null);
        try (Server server = serving("200 OK", V1, Arrays.copyOf(wire, wire.length - 1))) {
            Recorder recorder = new Recorder();
            CLIENT.publish(post(server), CODER).subscribe(recorder);
            recorder.subscription.request(Long.MAX_VALUE);
            recorder.subscription.request(Long.MAX_VALUE);
            recorder.next();
            assertEquals("No.", recorder.next());
            assertEquals("FrameException", recorder.next());
        }
    }

    @Test
    void cancellingASubscriptionClosesTheConnection() throws Exception {
        byte[] wire = wholeStream(Duration.ofSeconds(60));
        try (Server server = stalling(Arrays.copyOf(wire, wire.length - 1))) {
            Recorder recorder = new Recorder();
            CLIENT.publish(post(server), CODER).subscribe(recorder);
            recorder.subscription.request(2);
            recorder.next();
            recorder.next();
            recorder.subscription.cancel();
            assertTrue(server.gone.await(10, TimeUnit.SECONDS), "the connection stayed open");
            assertTrue(recorder.events.isEmpty());
        }
        try (Server silent = new Server(out -> false)) {
            Recorder recorder = new Recorder();
            CLIENT.publish(post(silent), CODER).subscribe(recorder);
            while (silent.requests.isEmpty()) {
                Thread.onSpinWait();
            }
            recorder.subscription.cancel();
            assertTrue(silent.gone.await(10, TimeUnit.SECONDS), "the connection stayed open");
        }
    }

    @Test
    void aRequestForNoMessageIsAnError() throws Exception {
        try (Server server = stalling(wholeStream(Duration.ofSeconds(60)))) {
            Recorder recorder = new Recorder();
            CLIENT.publish(post(server), CODER).subscribe(recorder);
            recorder.subscription.request(0);
            assertEquals("IllegalArgumentException", recorder.next());
        }
    }
}
