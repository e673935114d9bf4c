import io.github.objectstreaming.http.ObjectStreamClient;
import io.github.objectstreaming.http.Place;
import io.github.objectstreaming.json.JsonCoder;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.time.Duration;

public class Resume {
    public static void main(String[] arguments) throws Exception {
        EXAMPLE
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString("{\"question\":\"Why do frames have lengths?\"}"))
                .build();
        Place place;
        try (var stream = client.send(request, JsonCoder.ofTrees())) {
            stream.read();
            place = Place.fromJson(stream.place().orElseThrow().toJson());
            stream.forEach(message -> {});
            System.out.println(stream.position());
        }
        try (var stream = client.resume(place, JsonCoder.ofTrees(), "Authorization", "Bearer x")) {
            stream.forEach(message -> {});
            System.out.println(stream.position());
        }
    }
}
