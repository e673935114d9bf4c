package io.github.objectstreaming;

import java.util.Map;

/** The coder {@code raw}: headers are JSON objects, payloads are bytes (SPEC section 4.5). */
public final class RawCoder implements Coder<Map<String, Object>, byte[]> {
    /** Makes the coder. */
    public RawCoder() {}

    @Override
    public String name() {
        return "raw";
    }

    @Override
    public Frame encode(Map<String, Object> header, byte[] payload) {
        return Frame.of(header, payload);
    }

    @Override
    public Message<Map<String, Object>, byte[]> decode(Frame frame) {
        return new Message<>(frame.header(), frame.payload());
    }
}
