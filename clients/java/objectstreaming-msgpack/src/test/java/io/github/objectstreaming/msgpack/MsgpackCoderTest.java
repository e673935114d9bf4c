package io.github.objectstreaming.msgpack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.objectstreaming.EncodeException;
import io.github.objectstreaming.Frame;
import io.github.objectstreaming.PayloadException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.msgpack.value.Value;
import org.msgpack.value.ValueFactory;

class MsgpackCoderTest {
    private final MsgpackCoder coder = new MsgpackCoder();

    private Value decode(byte[] payload) {
        return coder.decode(Frame.of("{}".getBytes(StandardCharsets.UTF_8), payload))
                .payload();
    }

    @Test
    void aValueComesBackAsItWas() {
        Value sent = ValueFactory.newMap(
                ValueFactory.newString("rate"),
                ValueFactory.newInteger(16000),
                ValueFactory.newInteger(7),
                ValueFactory.newArray(
                        ValueFactory.newBinary(new byte[] {0, -1}),
                        ValueFactory.newNil(),
                        ValueFactory.newTimestamp(Instant.ofEpochSecond(1_700_000_000, 5))));
        Frame frame = coder.encode(Map.of("n", "x"), sent);
        assertEquals(sent, coder.decode(frame).payload());
        assertEquals(Map.of("n", "x"), coder.decode(frame).header());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "0102",
                "c1",
                "9301",
                "ddffffffff",
                "dd7fffffff",
                "dfffffffff",
                "c6ffffffff00",
                "c67fffffff",
                "a1ff",
                "cf00",
                "d40500",
                "d4ff00",
                "c703ff000000",
                "dbffffffff",
                "81a161",
                "d9"
            })
    void whatIsNoValueIsRefusedAndNothingIsAllocatedForAClaim(String payload) {
        assertThrows(PayloadException.class, () -> decode(HexFormat.of().parseHex(payload)));
    }

    @Test
    void depthIsLimited() {
        byte[] deep = new byte[1_000_000];
        java.util.Arrays.fill(deep, (byte) 0x91);
        assertThrows(PayloadException.class, () -> decode(deep));
    }

    @Test
    void onlyAPayloadExceptionComesOfAnyBytes() {
        Random random = new Random(7);
        for (int round = 0; round < 20_000; round++) {
            byte[] payload = new byte[random.nextInt(30)];
            random.nextBytes(payload);
            try {
                coder.encode(Map.of(), decode(payload));
            } catch (PayloadException refused) {
                // the documented exception
            }
        }
    }

    @Test
    void anExtensionIsReadWhereItIsRegistered() {
        Value extension = ValueFactory.newExtension((byte) 5, new byte[] {1});
        assertThrows(EncodeException.class, () -> coder.encode(Map.of(), extension));
        MsgpackCoder registered = new MsgpackCoder(5);
        assertEquals(
                extension,
                registered.decode(registered.encode(Map.of(), extension)).payload());
    }
}
