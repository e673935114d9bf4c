/**
 * The coder {@code json}, with Jackson.
 */
module io.github.objectstreaming.json {
    requires transitive com.fasterxml.jackson.databind;
    requires transitive io.github.objectstreaming;

    exports io.github.objectstreaming.json;
}
