package io.github.objectstreaming.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.objectstreaming.Frame;
import io.github.objectstreaming.ObjectStreamException;
import io.github.objectstreaming.PayloadException;
import io.github.objectstreaming.ResponseException;
import io.github.objectstreaming.StreamIncompleteException;
import io.github.objectstreaming.json.JsonCoder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(30)
class ResumingTest {
    private static final String V1 = "application/vnd.objectstreaming;v=1;coder=json";
    private static final JsonCoder<ObjectNode, JsonNode> CODER = JsonCoder.ofTrees();
    private static final Duration FIRST = Duration.ofMillis(250);

    /** Passes no real time. Random times are as long as they can be. */
    private static final class Virtual extends Waiting {
        private final List<Duration> waits = new ArrayList<>();
        private long now;

        @Override
        long nanos() {
            return now;
        }

        @Override
        Duration random(Duration longest) {
            return longest;
        }

        @Override
        void pause(Duration time, CountDownLatch left) {
            waits.add(time);
            now += time.toNanos();
        }
    }

    /** Waits for a real hour when it is told to. */
    private static final class Noticing extends Waiting {
        private final CountDownLatch waits = new CountDownLatch(1);

        /** Acts when it waits. Not in the common pool, whose only thread HttpClient may need (JDK 25). */
        void then(Runnable action) {
            new Thread(() -> {
                        await(waits);
                        action.run();
                    })
                    .start();
        }

        @Override
        void pause(Duration time, CountDownLatch left) throws InterruptedException {
            if (time.compareTo(Duration.ofMinutes(1)) > 0) {
                waits.countDown();
                super.pause(time, left);
            }
        }
    }

    private final Virtual time = new Virtual();
    private final ObjectStreamClient client = client(time, Duration.ofMinutes(5));

    private static ObjectStreamClient client(Waiting waiting, Duration patience) {
        return ObjectStreamClient.builder().resume(patience).waiting(waiting).build();
    }

    private static Server inTurn(Server.Answer... turns) throws IOException {
        AtomicInteger turn = new AtomicInteger();
        return new Server(out -> turns[turn.getAndIncrement()].write(out));
    }

    private static void frame(ByteArrayOutputStream wire, String header, String payload) {
        wire.writeBytes(Frame.of(header.getBytes(StandardCharsets.UTF_8), payload.getBytes(StandardCharsets.UTF_8))
                .toBytes());
    }

    /** The answer that begins after a position: whole, or cut after its messages. */
    private static Server.Answer part(String resume, long position, boolean cut, String... payloads) {
        ByteArrayOutputStream wire = new ByteArrayOutputStream();
        String place = resume == null ? "" : ",\"resume\":\"" + resume + "\"";
        frame(wire, "{\"$stream\":{\"type\":\"open\",\"v\":1,\"position\":" + position + place + "}}", "");
        for (String payload : payloads) {
            frame(wire, "{}", payload);
        }
        int size = wire.size();
        if (!cut) {
            frame(wire, "{\"$stream\":{\"type\":\"end\",\"frames\":" + payloads.length + "}}", "");
            size = wire.size();
        }
        int length = cut ? size + 1000 : size;
        return out -> {
            Server.respond(out, "200 OK", V1, length, wire.toByteArray());
            return true;
        };
    }

    private static Server.Answer refuse(int status, String code, String retryAfter) {
        byte[] body = ("{\"code\":\"" + code + "\",\"message\":\"no\"}").getBytes(StandardCharsets.UTF_8);
        String more = retryAfter.isEmpty() ? "" : "\r\nRetry-After: " + retryAfter;
        return out -> {
            Server.respond(out, status + " No", "application/json" + more, body.length, body);
            return true;
        };
    }

    private static HttpRequest post(Server server) {
        return HttpRequest.newBuilder(server.uri())
                .header("Content-Type", "application/json")
                .header("Authorization", "Bearer x")
                .header("Last-Event-ID", "9")
                .POST(BodyPublishers.ofString("{\"question\":\"why?\"}"))
                .build();
    }

    private static List<String> answers(ResponseStream<ObjectNode, JsonNode> stream) {
        List<String> answers = new ArrayList<>();
        stream.forEach(message -> answers.add(message.payload().asText()));
        return answers;
    }

    private static String lines(Server server) {
        return String.join(
                " ",
                server.requests.stream()
                        .map(request -> request.substring(0, request.indexOf(" HTTP/1.1")))
                        .toList());
    }

    /** The code with which the reading of these answers fails. */
    private String failure(Server.Answer... turns) throws Exception {
        try (Server server = inTurn(turns);
                ResponseStream<ObjectNode, JsonNode> stream = client.send(post(server), CODER)) {
            ObjectStreamException first = assertThrows(ObjectStreamException.class, () -> answers(stream));
            assertSame(first, assertThrows(ObjectStreamException.class, stream::read));
            return first.code();
        }
    }

    @Test
    void aStreamThatWasCutIsResumedByGetAndEachMessageComesOnce() throws Exception {
        try (Server server = inTurn(
                        part("/s?k=1", 0, true, "1", "2"), part("/s?k=1", 2, true), part("/s", 1, false, "2", "3"));
                ResponseStream<ObjectNode, JsonNode> stream = client.send(post(server), CODER)) {
            assertEquals(List.of("1", "2", "3"), answers(stream));
            assertEquals(3, stream.position());
            assertTrue(stream.trailers().isPresent());
            assertNull(stream.read());
            assertEquals("POST /objects GET /s?k=1 GET /s?k=1", lines(server));
            for (String request : server.requests.subList(1, 3)) {
                assertTrue(request.contains("Authorization: Bearer x\n"), request);
                assertFalse(request.toLowerCase(java.util.Locale.ROOT).contains("content-type"), request);
                assertTrue(request.contains("Last-Event-ID: 2\n"), request);
            }
            assertEquals(List.of(FIRST, FIRST.multipliedBy(2)), time.waits);
        }
    }

    @Test
    void aStreamOfSendAsyncAndOfAPublisherIsResumedToo() throws Exception {
        Server.Answer[] turns = {part("/s", 0, true, "1"), part("/s", 1, false, "2")};
        try (Server server = inTurn(turns);
                ResponseStream<ObjectNode, JsonNode> stream =
                        client.sendAsync(post(server), CODER).get()) {
            assertEquals(List.of("1", "2"), answers(stream));
        }
        try (Server server = inTurn(turns)) {
            Recorder recorder = new Recorder();
            client.publish(post(server), CODER).subscribe(recorder);
            recorder.subscription.request(2);
            assertEquals(List.of("1", "2", "complete"), List.of(recorder.next(), recorder.next(), recorder.next()));
        }
    }

    @Test
    void aGapIsALossAndNoEnd() throws Exception {
        Server.Answer first = part("/s", 0, true, "1", "2");
        assertEquals("data_loss", failure(first, part("/s", 3, false, "4")));
        assertEquals("data_loss", failure(first, part("/s", 3, false)));
        assertEquals("data_loss", failure(first, part("/s", 0, false)));
        assertEquals("data_loss", failure(first, part("/s", 3, false, "{")));
    }

    @Test
    void theWaitIsThatOfTheServerOrGrowsUntilDataArrives() throws Exception {
        try (Server server = inTurn(
                        part("/s", 0, true, "1"),
                        refuse(503, "unavailable", ""),
                        refuse(429, "resource_exhausted", "7"),
                        refuse(502, "", ""),
                        refuse(504, "", ""),
                        refuse(503, "", ""),
                        refuse(503, "", ""),
                        part("/s", 1, true, "2"),
                        part("/s", 2, false));
                ResponseStream<ObjectNode, JsonNode> stream = client.send(post(server), CODER)) {
            assertEquals(List.of("1", "2"), answers(stream));
            assertEquals(
                    List.of(250L, 500L, 7000L, 2000L, 4000L, 8000L, 10_000L, 250L),
                    time.waits.stream().map(Duration::toMillis).toList());
        }
    }

    @Test
    void itGivesUpWhenThePatienceIsOver() throws Exception {
        Server.Answer busy = refuse(503, "unavailable", "120");
        assertEquals("unavailable", failure(part("/s", 0, true, "1"), busy, busy, busy, busy));
        assertEquals(3, time.waits.size());
    }

    @Test
    void aLostStreamIsAskedForForTenSecondsAfterDataOnly() throws Exception {
        Server.Answer first = part("/s", 0, true, "1");
        Server.Answer missing = refuse(404, "not_found", "6");
        try (Server server = inTurn(first, refuse(503, "unavailable", "30"), missing, part("/s", 1, false));
                ResponseStream<ObjectNode, JsonNode> stream = client.send(post(server), CODER)) {
            assertEquals(List.of("1"), answers(stream));
        }
        assertEquals("not_found", failure(first, missing, missing, missing));
        assertEquals(
                "out_of_range", failure(first, refuse(400, "out_of_range", "20"), refuse(400, "out_of_range", "")));
        assertEquals("permission_denied", failure(first, refuse(403, "permission_denied", "1")));
        try (Server server = inTurn(missing)) {
            Place place = new Place(server.uri(), 1);
            assertThrows(ResponseException.class, () -> client.resume(place, CODER));
        }
    }

    @Test
    void theFirstRequestIsNeverRepeated() throws Exception {
        try (Server server = inTurn(refuse(503, "unavailable", "1"))) {
            assertThrows(ResponseException.class, () -> client.send(post(server), CODER));
            assertEquals(1, server.requests.size());
        }
        assertEquals("stream_incomplete", failure(part(null, 0, true, "1")));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"http://127.0.0.1:1/s", "//evil.example/s", "ftp://127.0.0.1/s", "http://[::1", "file:///s"})
    void aResumeOfAnotherOriginIsPassedOver(String elsewhere) throws Exception {
        assertEquals("stream_incomplete", failure(part(elsewhere, 0, true, "1")));
    }

    @Test
    void theRestOfAStreamIsNotPlain() throws Exception {
        Server.Answer plain = out -> {
            Server.respond(out, "200 OK", "application/octet-stream", 0, new byte[0]);
            return true;
        };
        assertEquals("unexpected_content_type", failure(part("/s", 0, true, "1"), plain));
    }

    @Test
    void aResumeWhereARedirectHasLedToAnotherOriginIsPassedOver() throws Exception {
        ObjectStreamClient following = ObjectStreamClient.builder()
                .httpClient(HttpClient.newBuilder()
                        .followRedirects(HttpClient.Redirect.ALWAYS)
                        .build())
                .resume(Duration.ofMinutes(5))
                .waiting(time)
                .build();
        try (Server other = inTurn(part("/s", 0, true, "1"));
                Server server = inTurn(out -> {
                    Server.respond(out, "307 Moved", "text/plain\r\nLocation: " + other.uri(), 0, new byte[0]);
                    return true;
                });
                ResponseStream<ObjectNode, JsonNode> stream = following.send(post(server), CODER)) {
            assertThrows(StreamIncompleteException.class, () -> answers(stream));
            assertTrue(stream.place().isEmpty());
        }
    }

    @Test
    void anInterruptEndsABackOffAtOnce() throws Exception {
        Noticing noticing = new Noticing();
        try (Server server = inTurn(part("/s", 0, true, "1"), refuse(503, "unavailable", "3600"));
                ResponseStream<ObjectNode, JsonNode> stream =
                        client(noticing, Duration.ofHours(2)).send(post(server), CODER)) {
            noticing.then(Thread.currentThread()::interrupt);
            assertThrows(CancellationException.class, () -> answers(stream));
            assertTrue(Thread.interrupted());
            assertEquals(1, stream.position());
        }
    }

    @Test
    void aCloseEndsABackOffAtOnce() throws Exception {
        Noticing noticing = new Noticing();
        try (Server server = inTurn(part("/s", 0, true, "1"), refuse(503, "unavailable", "3600"));
                ResponseStream<ObjectNode, JsonNode> stream =
                        client(noticing, Duration.ofHours(2)).send(post(server), CODER)) {
            noticing.then(stream::close);
            assertThrows(CancellationException.class, () -> answers(stream));
        }
    }

    @Test
    void cancellingTheFutureEndsABackOffAtOnce() throws Exception {
        Noticing noticing = new Noticing();
        CompletableFuture<Void> ended = new CompletableFuture<>();
        ObjectStreamClient client = ObjectStreamClient.builder()
                .waiting(noticing)
                .resume(Duration.ofHours(2))
                .executor(work -> new Thread(() -> {
                            work.run();
                            ended.complete(null);
                        })
                        .start())
                .build();
        try (Server server = inTurn(refuse(503, "unavailable", "3600"))) {
            CompletableFuture<?> coming = client.resumeAsync(new Place(server.uri(), 0), CODER);
            await(noticing.waits);
            coming.cancel(true);
            ended.get();
        }
    }

    @Test
    void aPublisherGoesOnAfterARefusedPayloadWhereItIsToldTo() throws Exception {
        try (Server server = inTurn(part(null, 0, false, "1", "{", "3"), part(null, 0, false, "1", "{", "3"))) {
            Recorder recorder = new Recorder();
            client.publish(post(server), CODER, refused -> recorder.events.add("refused " + refused.index()))
                    .subscribe(recorder);
            recorder.subscription.request(9);
            for (String event : List.of("1", "refused 2", "3", "complete")) {
                assertEquals(event, recorder.next());
            }
            client.publish(post(server), CODER).subscribe(recorder);
            recorder.subscription.request(9);
            assertEquals("1", recorder.next());
            assertEquals("PayloadException", recorder.next());
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    @Test
    void aPlaceIsJsonAndCanBeOpenedAgain() throws Exception {
        try (Server server = inTurn(
                part("streams/a", 0, false, "1", "2"),
                refuse(503, "unavailable", ""),
                part("?b", 1, false, "2"),
                part("/s", 1, false, "2"))) {
            String text;
            try (ResponseStream<ObjectNode, JsonNode> stream =
                    ObjectStreamClient.create().send(post(server), CODER)) {
                stream.read();
                text = stream.place().orElseThrow().toJson();
            }
            URI uri = server.uri().resolve("streams/a");
            assertEquals("{\"url\":\"" + uri + "\",\"position\":1}", text);
            Place place = Place.fromJson(text);
            try (ResponseStream<ObjectNode, JsonNode> again =
                    client.resume(place, CODER, "Authorization", "Bearer y")) {
                assertEquals(1, again.position());
                assertEquals(List.of("2"), answers(again));
                assertEquals(new Place(URI.create(uri + "?b"), 2), again.place().orElseThrow());
            }
            try (ResponseStream<ObjectNode, JsonNode> again =
                    client.resumeAsync(place, CODER).get()) {
                assertEquals(List.of("2"), answers(again));
            }
            assertTrue(server.requests.get(2).startsWith("GET /streams/a HTTP/1.1\n"));
            assertTrue(server.requests.get(2).contains("Last-Event-ID: 1\n"));
            assertTrue(server.requests.get(2).contains("Authorization: Bearer y\n"));
        }
        for (String bad : List.of(
                "",
                "[]",
                "{\"url\":\"http://a/\"}",
                "{\"url\":\"/a\",\"position\":1}",
                "{\"url\":\"http://a/\",\"position\":-1}")) {
            assertThrows(IllegalArgumentException.class, () -> Place.fromJson(bad));
        }
    }

    @Test
    void stopEndsTheStreamAtTheServerAndCloseDoesNot() throws Exception {
        Server.Answer gone = out -> {
            Server.respond(out, "204 Gone", "", -1, new byte[0]);
            return true;
        };
        try (Server server = inTurn(part("/s", 0, false, "1"), gone, refuse(403, "permission_denied", ""))) {
            try (ResponseStream<ObjectNode, JsonNode> stream = client.send(post(server), CODER)) {
                assertThrows(IllegalStateException.class, stream::stop);
                stream.read();
                stream.stop();
                assertEquals(
                        403, assertThrows(ResponseException.class, stream::stop).status());
            }
            assertEquals("POST /objects DELETE /s DELETE /s", lines(server));
        }
    }

    @Test
    void aRefusedPayloadIsToldOnce() throws Exception {
        try (Server server = inTurn(part("/s", 0, true, "1", "{"), part("/s", 0, false, "1", "{", "3"));
                ResponseStream<ObjectNode, JsonNode> stream = client.send(post(server), CODER)) {
            assertEquals("1", stream.read().payload().asText());
            assertThrows(PayloadException.class, stream::read);
            assertEquals("3", stream.read().payload().asText());
            assertNull(stream.read());
        }
    }

    @Test
    void aResponseOfAnotherClientHasAPlace() throws Exception {
        try (Server server = inTurn(part("/s", 0, true, "1"))) {
            var response = HttpClient.newHttpClient().send(post(server), BodyHandlers.ofInputStream());
            try (ResponseStream<ObjectNode, JsonNode> stream = client.read(response, CODER)) {
                stream.read();
                assertEquals(
                        new Place(server.uri().resolve("/s"), 1), stream.place().orElseThrow());
                assertInstanceOf(
                        StreamIncompleteException.class, assertThrows(ObjectStreamException.class, stream::read));
            }
        }
    }
}
