package io.github.objectstreaming;

import java.util.Map;

/** The coder {@code raw}: any JSON object, and bytes as they are. */
public final class RawCoder implements Coder<Map<String, Object>, byte[]> {
    /** The coder. */
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
