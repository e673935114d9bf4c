/**
 * Frames, streams, and the coders {@code tal} and {@code raw}.
 */
@SuppressWarnings("module") // the modules named below are built after this one
module io.github.objectstreaming {
    exports io.github.objectstreaming;
    exports io.github.objectstreaming.internal to
            io.github.objectstreaming.json,
            io.github.objectstreaming.http,
            io.github.objectstreaming.conformance;
}
