import com.sun.net.httpserver.HttpServer;
import io.github.objectstreaming.MessageWriter;
import io.github.objectstreaming.json.JsonCoder;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.Map;

public class Serve {
    public record Status(String status, String reason) {}

    public record Answer(String answer, String source) {}

    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        var answers = List.of(new Answer("Frames have lengths.", "spec.md"), new Answer("So a cut is found.", "spec.md"));
        server.createContext("/ask", exchange -> {
            exchange.getResponseHeaders().set("Content-Type", "application/vnd.objectstreaming;v=1;coder=json");
            exchange.sendResponseHeaders(200, 0);
            EXAMPLE
        });
        server.start();
        System.out.println("http://127.0.0.1:" + server.getAddress().getPort() + "/ask");
    }
}
