package io.github.objectstreaming.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.objectstreaming.FrameException;
import io.github.objectstreaming.ObjectStreamException;
import io.github.objectstreaming.ResponseException;
import io.github.objectstreaming.StreamErrorCode;
import io.github.objectstreaming.StreamException;
import io.github.objectstreaming.StreamIncompleteException;
import io.github.objectstreaming.http.ObjectStreamClient;
import io.github.objectstreaming.http.ResponseStream;
import io.github.objectstreaming.json.JsonCoder;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.logging.Level;
import java.util.logging.Logger;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Compiles and runs examples/AnswerServer.java. */
@Timeout(60)
class AnswerServerTest {
    private static final Duration HEARTBEAT = Duration.ofMillis(100);
    private static final BlockingQueue<String> PRINTED = new LinkedBlockingQueue<>();
    private static final PrintStream BEFORE = System.out;
    private static final Logger LOG = Logger.getLogger("AnswerServer");

    private static URLClassLoader loader;
    private static URI uri;

    @BeforeAll
    static void start(@TempDir Path folder) throws Exception {
        int status = ToolProvider.getSystemJavaCompiler()
                .run(
                        null,
                        null,
                        null,
                        "-d",
                        folder.toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        "../examples/AnswerServer.java");
        assertEquals(0, status);
        LOG.setLevel(Level.OFF);
        System.setProperty("heartbeat", String.valueOf(HEARTBEAT.toMillis()));
        System.setOut(new PrintStream(OutputStream.nullOutputStream()) {
            @Override
            public void println(String line) {
                PRINTED.add(line);
            }
        });
        loader = new URLClassLoader(new URL[] {folder.toUri().toURL()});
        Class<?> server = Class.forName("AnswerServer", true, loader);
        server.getMethod("main", String[].class).invoke(null, (Object) new String[] {"0"});
        uri = URI.create(PRINTED.take());
    }

    @AfterAll
    static void stop() throws Exception {
        System.setOut(BEFORE);
        loader.close();
    }

    private static ResponseStream<ObjectNode, JsonNode> ask(String question, String accept) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(uri)
                .header("Accept", accept)
                .POST(BodyPublishers.ofString(question))
                .build();
        // A busy machine may need longer than three of these heartbeats.
        ObjectStreamClient patient =
                ObjectStreamClient.builder().idleTimeout(Duration.ofMinutes(1)).build();
        return patient.send(request, JsonCoder.ofTrees());
    }

    @Test
    void anAnswerIsAWholeStream() throws Exception {
        try (var stream = ask("why?", ObjectStreamClient.ACCEPT)) {
            assertEquals(2, stream.stream().count());
            assertEquals(HEARTBEAT, stream.heartbeat().orElseThrow());
            assertTrue(stream.trailers().isPresent());
        }
        try (var stream = ask("why?", ObjectStreamClient.PLAIN_MEDIA_TYPE)) {
            assertEquals(2, stream.stream().count());
            assertTrue(stream.trailers().isEmpty());
        }
    }

    @Test
    void anErrorBeforeTheFirstMessageHasAStatusOfItsOwn() {
        ResponseException refused =
                assertThrows(ResponseException.class, () -> ask("nothing", ObjectStreamClient.ACCEPT));
        assertEquals(404, refused.status());
        assertEquals("there is no answer to \"nothing\"", refused.text());
    }

    @Test
    void aLaterErrorGoesOutWithTheEndAndBreaksAPlainStream() throws Exception {
        try (var stream = ask("fail", ObjectStreamClient.ACCEPT)) {
            stream.read();
            assertEquals(
                    StreamErrorCode.UNAVAILABLE,
                    assertThrows(StreamException.class, stream::read).error());
        }
        try (var stream = ask("fail", ObjectStreamClient.PLAIN_MEDIA_TYPE)) {
            stream.read();
            ObjectStreamException cut = assertThrows(ObjectStreamException.class, stream::read);
            assertTrue(cut instanceof StreamIncompleteException || cut instanceof FrameException, cut.toString());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"crash", "half"})
    void aBugOfTheModelEndsTheStreamToo(String question) throws Exception {
        try (var stream = ask(question, ObjectStreamClient.ACCEPT)) {
            stream.read();
            assertEquals(
                    StreamErrorCode.INTERNAL,
                    assertThrows(StreamException.class, stream::read).error());
        }
    }

    @Test
    void aModelWhoseClientHasLeftIsInterrupted() throws Exception {
        try (var stream = ask("wait", ObjectStreamClient.ACCEPT)) {
            stream.read();
        }
        assertEquals("left", PRINTED.take());
    }
}
