package io.github.objectstreaming.http;

import io.github.objectstreaming.internal.InvalidJsonException;
import io.github.objectstreaming.internal.JsonReader;
import io.github.objectstreaming.internal.JsonWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Where a reader is in a stored stream. It can be kept over a restart as JSON, and opened with {@link
 * ObjectStreamClient#resume}.
 *
 * @param uri the http or https URI of the stream
 * @param position how many data frames the reader has had
 */
public record Place(URI uri, long position) {
    /**
     * Checks the members.
     *
     * @param uri the http or https URI of the stream
     * @param position 0 or more
     */
    public Place {
        boolean http = "http".equalsIgnoreCase(uri.getScheme()) || "https".equalsIgnoreCase(uri.getScheme());
        if (!http || uri.getHost() == null || position < 0) {
            throw new IllegalArgumentException(
                    "a place is an http URI and a position of 0 or more, not " + uri + " and " + position);
        }
    }

    /**
     * As JSON.
     *
     * @return an object with the members {@code url} and {@code position}
     */
    public String toJson() {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("url", uri.toString());
        members.put("position", position);
        try {
            return new String(JsonWriter.write(members), StandardCharsets.UTF_8);
        } catch (InvalidJsonException error) {
            throw new IllegalStateException(error); // a URI has no lone surrogate
        }
    }

    /**
     * The inverse of {@link #toJson}.
     *
     * @param text a JSON object
     * @return the place
     * @throws IllegalArgumentException for anything else
     */
    public static Place fromJson(String text) {
        try {
            Map<String, Object> members = JsonReader.readObject(text.getBytes(StandardCharsets.UTF_8));
            if (members.get("url") instanceof String url && members.get("position") instanceof Long position) {
                return new Place(URI.create(url), position);
            }
        } catch (InvalidJsonException error) {
            // the same exception
        }
        throw new IllegalArgumentException("a place is a JSON object with url, a string, and position, an integer");
    }

    /**
     * The place that a response has told, or {@code null}. A URI of another origin than that of the request is passed over,
     * also where a redirect has led there: the credentials of the caller would go there.
     */
    static Place told(URI response, URI asked, String resume, long position) {
        try {
            // java.net.URI drops the last segment of the path where the reference is a query alone
            String reference = resume.isEmpty() || resume.startsWith("?") ? response.getRawPath() + resume : resume;
            URI uri = response.resolve(reference);
            boolean ours =
                    origin(uri).equals(origin(response)) && origin(response).equals(origin(asked));
            return ours ? new Place(uri, position) : null;
        } catch (IllegalArgumentException notUsable) {
            return null;
        }
    }

    private static String origin(URI uri) {
        int port = uri.getPort() >= 0 ? uri.getPort() : "https".equalsIgnoreCase(uri.getScheme()) ? 443 : 80;
        return (uri.getScheme() + "://" + uri.getHost() + ":" + port).toLowerCase(Locale.ROOT);
    }
}
