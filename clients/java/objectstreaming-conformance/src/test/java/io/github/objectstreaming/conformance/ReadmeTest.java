package io.github.objectstreaming.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import io.github.objectstreaming.StreamEncoder;
import io.github.objectstreaming.json.JsonCoder;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Compiles and runs the example of the README. */
class ReadmeTest {
    @Test
    void theExampleRuns(@TempDir Path folder) throws Exception {
        Matcher example = Pattern.compile("```java\\R(.*?)```", Pattern.DOTALL)
                .matcher(Files.readString(Path.of("../README.md")));
        assertTrue(example.find());
        Path source = Files.writeString(folder.resolve("Ask.java"), example.group(1));
        int status = ToolProvider.getSystemJavaCompiler()
                .run(
                        null,
                        null,
                        null,
                        "-d",
                        folder.toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        source.toString());
        assertEquals(0, status);

        StreamEncoder<Map<String, Object>, Object> encoder = new StreamEncoder<>(JsonCoder.ofMaps());
        ByteArrayOutputStream wire = new ByteArrayOutputStream();
        wire.writeBytes(encoder.open());
        wire.writeBytes(
                encoder.data(Map.of("status", "success"), Map.of("answer", "To be whole.", "source", "guide.md")));
        wire.writeBytes(encoder.end());
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/objects", exchange -> {
            exchange.getResponseHeaders().set("Content-Type", "application/vnd.objectstreaming;v=1");
            exchange.sendResponseHeaders(200, wire.size());
            exchange.getResponseBody().write(wire.toByteArray());
            exchange.close();
        });
        server.start();
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream before = System.out;
        try (URLClassLoader loader =
                new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
            String url = "http://127.0.0.1:" + server.getAddress().getPort() + "/objects";
            Class.forName("Ask", true, loader).getMethod("main", String[].class).invoke(null, (Object)
                    new String[] {url});
        } finally {
            System.setOut(before);
            server.stop(0);
        }
        assertEquals(
                "To be whole. -- guide.md",
                printed.toString(StandardCharsets.UTF_8).strip());
    }
}
