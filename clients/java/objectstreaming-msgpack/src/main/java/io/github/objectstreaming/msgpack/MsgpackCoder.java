package io.github.objectstreaming.msgpack;

import io.github.objectstreaming.Coder;
import io.github.objectstreaming.EncodeException;
import io.github.objectstreaming.Frame;
import io.github.objectstreaming.Message;
import io.github.objectstreaming.PayloadException;
import java.io.IOException;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.msgpack.core.MessageBufferPacker;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessageUnpacker;
import org.msgpack.value.Value;

/**
 * The coder {@code msgpack}: headers are JSON objects, payloads are MessagePack values (SPEC section 4.3).
 *
 * <pre>{@code
 * try (var stream = client.send(request, new MsgpackCoder())) {
 *     for (var message : stream) {
 *         play(message.payload().asBinaryValue().asByteArray());
 *     }
 * }
 * }</pre>
 */
public final class MsgpackCoder implements Coder<Map<String, Object>, Value> {
    private final Set<Integer> extensions;

    /**
     * Makes the coder. Extension types are refused, except the timestamp and those that are named here.
     *
     * @param extensions the codes of extension types that the application knows
     */
    public MsgpackCoder(int... extensions) {
        this.extensions = Stream.concat(
                        Stream.of(PayloadCheck.TIMESTAMP),
                        IntStream.of(extensions).boxed())
                .collect(Collectors.toUnmodifiableSet());
    }

    @Override
    public String name() {
        return "msgpack";
    }

    @Override
    public byte[] neutralPayload() {
        return new byte[] {(byte) 0xc0};
    }

    @Override
    public Frame encode(Map<String, Object> header, Value payload) {
        try (MessageBufferPacker packer = MessagePack.newDefaultBufferPacker()) {
            packer.packValue(payload);
            byte[] bytes = packer.toByteArray();
            PayloadCheck.check(bytes, extensions); // receivers refuse it
            return Frame.of(header, bytes);
        } catch (IOException | PayloadCheck.Refused error) {
            throw new EncodeException("not MessagePack: " + error.getMessage(), error);
        }
    }

    @Override
    public Message<Map<String, Object>, Value> decode(Frame frame) {
        Map<String, Object> header = frame.header();
        byte[] payload = frame.payload();
        try {
            PayloadCheck.check(payload, extensions);
            try (MessageUnpacker unpacker = MessagePack.newDefaultUnpacker(payload)) {
                return new Message<>(header, unpacker.unpackValue());
            }
        } catch (IOException | RuntimeException | PayloadCheck.Refused error) {
            throw new PayloadException(
                    frame, "the payload is not what the coder msgpack reads: " + error.getMessage(), error);
        }
    }
}
