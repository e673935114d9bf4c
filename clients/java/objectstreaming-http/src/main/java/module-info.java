/**
 * Streams over HTTP, with {@code java.net.http}.
 */
module io.github.objectstreaming.http {
    requires transitive io.github.objectstreaming;
    requires transitive java.net.http;

    exports io.github.objectstreaming.http;
}
