package io.github.objectstreaming;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NdArrayTest {
    private final NdArrayCoder coder = new NdArrayCoder();

    @Test
    void anArrayComesBackAsItWas() {
        NdArray sent = NdArray.of(new float[] {1, -2, 3, 4, 5, 6}, 2, 3);
        Frame frame = coder.encode(Map.of("name", "x"), sent);
        assertEquals(Map.of("name", "x", "dtype", "<f4", "shape", List.of(2L, 3L)), frame.header());
        assertEquals(new Message<>(Map.of("name", "x"), sent), coder.decode(frame));
        assertEquals(-2, sent.buffer().asFloatBuffer().get(1));
        assertArrayEquals(new double[] {1, -2, 3, 4, 5, 6}, sent.toDoubles());
        assertArrayEquals(new double[] {7.5}, NdArray.of(new double[] {7.5}).toDoubles());
        assertArrayEquals(new double[] {-7}, NdArray.of(new int[] {-7}, 1).toDoubles());
    }

    @ParameterizedTest
    @CsvSource({
        "|b1, 255",
        "|i1, -1",
        "<u2, 65535",
        ">i2, -1",
        ">u4, 4294967295",
        "<i8, -1",
        "<u8, 1.8446744073709552E19"
    })
    void everyKindOfNumberIsReadAsADouble(String dtype, double value) {
        byte[] bytes = new byte[Integer.parseInt(dtype.substring(2))];
        java.util.Arrays.fill(bytes, (byte) 0xff);
        assertArrayEquals(
                new double[] {value}, NdArray.of(dtype, List.of(), bytes).toDoubles());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "'|O'; [1]; invalid_header",
                "<i2; null; invalid_header",
                "<i2; [true]; invalid_header",
                "<i2; [1.0]; invalid_header",
                "<i2; [-1]; invalid_header",
                "<i2; [1000000,1000000]; invalid_payload",
                "<i2; [4294967296,4294967296]; invalid_payload",
                "<i2; [99999999999999999999]; invalid_payload",
                "<i2; [4294967296,4294967296,0]; invalid_payload"
            })
    void whatDoesNotFitIsRefused(String dtype, String shape, String code) {
        String header = "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + "}";
        Frame frame = Frame.of(header.getBytes(StandardCharsets.UTF_8), new byte[6]);
        assertEquals(
                code,
                assertThrows(ObjectStreamException.class, () -> coder.decode(frame))
                        .code());
    }

    @Test
    void theMembersOfTheCoderAreNotTheUsers() {
        NdArray array = NdArray.of(new int[] {1}, 1);
        assertThrows(EncodeException.class, () -> coder.encode(Map.of("shape", 1), array));
        assertThrows(IllegalStateException.class, NdArray.of("<c8", List.of(), new byte[8])::toDoubles);
    }
}
