package io.github.objectstreaming;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * An array of numbers or booleans, as NumPy has it, in C order: the last dimension changes fastest. It is the payload of
 * {@link NdArrayCoder}.
 */
public final class NdArray {
    static final int MAX_DIMENSIONS = 32;

    // Numbers and booleans with their byte order: no objects, strings, records or subarrays.
    private static final Pattern DTYPE = Pattern.compile("\\|b1|\\|[iu]1|[<>](?:[iu][248]|f[248]|c8|c16)");

    private final String dtype;
    private final List<Integer> shape;
    private final byte[] data;

    private NdArray(String dtype, List<Integer> shape, byte[] data) {
        this.dtype = dtype;
        this.shape = List.copyOf(shape);
        this.data = data;
    }

    /**
     * An array of bytes that are elements already.
     *
     * @param dtype the type of the elements with its byte order, as {@code dtype.str} of NumPy has it: {@code "<f4"}, {@code
     *     ">i2"}, {@code "|u1"}, {@code "|b1"}
     * @param shape the size of each dimension; an array without dimensions is one element
     * @param data the bytes of the elements; not copied
     * @return the array
     * @throws IllegalArgumentException if the shape does not fit the number of bytes
     */
    public static NdArray of(String dtype, List<Integer> shape, byte[] data) {
        if (!isDtype(dtype)) {
            throw new IllegalArgumentException("the dtype " + dtype + " is not one of numbers or booleans");
        }
        if (shape.size() > MAX_DIMENSIONS || shape.stream().anyMatch(size -> size < 0)) {
            throw new IllegalArgumentException(
                    "a shape has at most " + MAX_DIMENSIONS + " sizes of 0 or more, not " + shape);
        }
        NdArray array = new NdArray(dtype, shape, data);
        // Doubles do not overflow, and are exact up to the size of any array.
        double wanted = shape.stream().mapToDouble(Integer::doubleValue).reduce(array.size(), (a, b) -> a * b);
        if (wanted != data.length) {
            throw new IllegalArgumentException("the shape " + shape + " of " + dtype + " does not take the "
                    + data.length + " bytes that there are");
        }
        return array;
    }

    /**
     * An array of 64-bit floats.
     *
     * @param values the elements
     * @param shape the size of each dimension
     * @return the array
     */
    public static NdArray of(double[] values, int... shape) {
        ByteBuffer data = little(8 * values.length);
        data.asDoubleBuffer().put(values);
        return of("<f8", listOf(shape), data.array());
    }

    /**
     * An array of 32-bit floats.
     *
     * @param values the elements
     * @param shape the size of each dimension
     * @return the array
     */
    public static NdArray of(float[] values, int... shape) {
        ByteBuffer data = little(4 * values.length);
        data.asFloatBuffer().put(values);
        return of("<f4", listOf(shape), data.array());
    }

    /**
     * An array of 32-bit integers.
     *
     * @param values the elements
     * @param shape the size of each dimension
     * @return the array
     */
    public static NdArray of(int[] values, int... shape) {
        ByteBuffer data = little(4 * values.length);
        data.asIntBuffer().put(values);
        return of("<i4", listOf(shape), data.array());
    }

    private static ByteBuffer little(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static List<Integer> listOf(int... shape) {
        return IntStream.of(shape).boxed().toList();
    }

    static boolean isDtype(String text) {
        return DTYPE.matcher(text).matches();
    }

    /** The bytes of an element. */
    private int size() {
        return Integer.parseInt(dtype.substring(2));
    }

    /**
     * The type of the elements, with its byte order.
     *
     * @return as {@code dtype.str} of NumPy has it
     */
    public String dtype() {
        return dtype;
    }

    /**
     * The size of each dimension.
     *
     * @return an unmodifiable list, empty for one element without dimensions
     */
    public List<Integer> shape() {
        return shape;
    }

    /**
     * The bytes of the elements, which are not copied.
     *
     * @return the bytes
     */
    public byte[] bytes() {
        return data;
    }

    /**
     * The bytes of the elements, in the byte order of the array: {@code buffer().asFloatBuffer()} has the elements of an array
     * of {@code <f4} or {@code >f4}.
     *
     * @return a read-only view
     */
    public ByteBuffer buffer() {
        return ByteBuffer.wrap(data)
                .asReadOnlyBuffer()
                .order(dtype.charAt(0) == '>' ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN);
    }

    /**
     * The elements as doubles. Integers of 64 bits may be rounded.
     *
     * @return a new array
     * @throws IllegalStateException for complex numbers and floats of 16 bits, which {@link #buffer()} has
     */
    public double[] toDoubles() {
        ByteBuffer buffer = buffer();
        int size = size();
        IntToDoubleFunction element =
                switch (dtype.substring(1)) {
                    case "b1", "u1" -> i -> buffer.get(i) & 0xff;
                    case "i1" -> buffer::get;
                    case "i2" -> i -> buffer.getShort(2 * i);
                    case "u2" -> i -> buffer.getChar(2 * i);
                    case "i4" -> i -> buffer.getInt(4 * i);
                    case "u4" -> i -> Integer.toUnsignedLong(buffer.getInt(4 * i));
                    case "i8" -> i -> buffer.getLong(8 * i);
                    case "u8" -> i -> unsigned(buffer.getLong(8 * i));
                    case "f4" -> i -> buffer.getFloat(4 * i);
                    case "f8" -> i -> buffer.getDouble(8 * i);
                    default -> throw new IllegalStateException("elements of " + dtype + " are not read as doubles");
                };
        return IntStream.range(0, data.length / size).mapToDouble(element).toArray();
    }

    private static double unsigned(long bits) {
        return bits >= 0 ? bits : (bits >>> 1) * 2.0 + (bits & 1);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof NdArray array
                && dtype.equals(array.dtype)
                && shape.equals(array.shape)
                && Arrays.equals(data, array.data);
    }

    @Override
    public int hashCode() {
        return 31 * shape.hashCode() + Arrays.hashCode(data);
    }

    @Override
    public String toString() {
        return "NdArray[" + dtype + ", " + shape + "]";
    }
}
