package io.github.objectstreaming;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The coder {@code ndarray}: arrays of numbers or booleans (SPEC section 4.4). On the wire the header has the members {@code
 * dtype} and {@code shape} too; the headers of messages have the members of the user only.
 */
public final class NdArrayCoder implements Coder<Map<String, Object>, NdArray> {
    /** Makes the coder. */
    public NdArrayCoder() {}

    @Override
    public String name() {
        return "ndarray";
    }

    @Override
    public Frame encode(Map<String, Object> header, NdArray payload) {
        if (header.containsKey("dtype") || header.containsKey("shape")) {
            throw new EncodeException("the header members dtype and shape are set by the coder, from the array");
        }
        Map<String, Object> members = new LinkedHashMap<>(header);
        members.put("dtype", payload.dtype());
        members.put("shape", payload.shape());
        return Frame.of(members, payload.bytes());
    }

    @Override
    public Message<Map<String, Object>, NdArray> decode(Frame frame) {
        Map<String, Object> members = new LinkedHashMap<>(frame.header());
        if (!(members.remove("dtype") instanceof String dtype) || !NdArray.isDtype(dtype)) {
            throw FrameException.invalidHeader(
                    frame, "dtype " + frame.header().get("dtype") + " is not one of numbers or booleans", null);
        }
        if (!(members.remove("shape") instanceof List<?> sizes) || sizes.size() > NdArray.MAX_DIMENSIONS) {
            throw FrameException.invalidHeader(
                    frame, "shape " + frame.header().get("shape") + " is not a list of sizes", null);
        }
        List<Integer> shape = new ArrayList<>();
        for (Object size : sizes) {
            if (size instanceof Long number && number >= 0) {
                shape.add((int) Math.min(number, Integer.MAX_VALUE)); // no payload has so many bytes
            } else if (size instanceof BigInteger number && number.signum() >= 0) {
                shape.add(Integer.MAX_VALUE);
            } else {
                throw FrameException.invalidHeader(frame, "the size " + size + " in shape", null);
            }
        }
        try {
            return new Message<>(members, NdArray.of(dtype, shape, frame.payload()));
        } catch (IllegalArgumentException error) {
            throw new PayloadException(frame, error.getMessage(), null);
        }
    }
}
