package io.github.objectstreaming;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a frame of speech says of itself: text, audio and lip (SPEC section 4.2).
 *
 * <pre>{@code
 * TalAudio.builder().answer("Good morning.").order(2).sign(Sign.MIDDLE).build()
 * }</pre>
 *
 * @param sampleType the members {@code audioType} and {@code bitDepth}
 * @param sampleRate sample frames a second, 1 to 768,000
 * @param channels interleaved, 1 to 255
 * @param question what was asked
 * @param answer the text spoken in this frame
 * @param url where it comes from
 * @param sign start, middle or end of an answer
 * @param order the frame's number in its answer, 1 to 2^53 - 1
 * @param extra members beside these, which survive a round trip; unmodifiable
 */
public record TalAudio(
        SampleType sampleType,
        int sampleRate,
        int channels,
        String question,
        String answer,
        String url,
        Sign sign,
        long order,
        Map<String, Object> extra) {

    /** The highest rate audio interfaces are made for: 16 times 48 kHz. */
    public static final int MAX_SAMPLE_RATE = 768_000;
    /** The most channels there can be. */
    public static final int MAX_CHANNELS = 255;
    /** The largest integer that every JSON reader keeps exactly. */
    public static final long MAX_ORDER = (1L << 53) - 1;

    /** All members as they are where nothing else is said. */
    public static final TalAudio DEFAULT =
            new TalAudio(SampleType.INT16, 16_000, 1, "", "", "", Sign.START, 1, Map.of());

    private static final String FORMAT = "wav";

    /** Where in an answer a frame stands. */
    public enum Sign {
        /** 1: the first frame, whose order is 1. */
        START,
        /** 2: a frame between. */
        MIDDLE,
        /** 3: the last frame. */
        END;

        int number() {
            return ordinal() + 1;
        }
    }

    /**
     * Checks all members.
     *
     * @param sampleType the members {@code audioType} and {@code bitDepth}
     * @param sampleRate sample frames a second, 1 to 768,000
     * @param channels interleaved, 1 to 255
     * @param question what was asked
     * @param answer the text spoken in this frame
     * @param url where it comes from
     * @param sign start, middle or end of an answer
     * @param order the frame's number in its answer, 1 to 2^53 - 1
     * @param extra members beside these, copied
     * @throws EncodeException if one is outside its range
     */
    public TalAudio {
        within("sampleRate", sampleRate, MAX_SAMPLE_RATE);
        within("channels", channels, MAX_CHANNELS);
        within("order", order, MAX_ORDER);
        if (sampleType == null || question == null || answer == null || url == null || sign == null) {
            throw new EncodeException("no member is null");
        }
        // Most headers have none: then there is nothing to copy.
        extra = extra.isEmpty() ? Map.of() : Collections.unmodifiableMap(new LinkedHashMap<>(extra));
        for (String name : extra.keySet()) {
            if (isMember(name)) {
                throw new EncodeException(name + " is a member of its own and cannot be extra");
            }
        }
    }

    private static void within(String name, long value, long most) {
        if (value < 1 || value > most) {
            throw new EncodeException(name + " is " + value + ", which is not 1 to " + most);
        }
    }

    private static boolean isMember(String name) {
        return switch (name) {
            case "audioType", "bitDepth", "sampleRate", "channels", "audioFormat" -> true;
            case "question", "answer", "url", "sign", "order" -> true;
            default -> false;
        };
    }

    /**
     * Reads the members of a header.
     *
     * @param members as {@link Frame#header()} has them
     * @return what they say, defaults filled in
     * @throws EncodeException if one is not as SPEC section 4.2 says
     */
    public static TalAudio of(Map<String, ?> members) {
        String audioType = text(members, "audioType", "int16");
        SampleType type = audioType.equals("int16") ? SampleType.INT16 : SampleType.INT32;
        if (!audioType.equals(type.wireName())) {
            throw new EncodeException("audioType is 'int16' or 'int32', not '" + audioType + "'");
        }
        if (integer(members, "bitDepth", 16) != type.bits()) {
            throw new EncodeException("bitDepth is " + type.bits() + " where audioType is '" + audioType + "'");
        }
        if (!text(members, "audioFormat", FORMAT).equals(FORMAT)) {
            throw new EncodeException("audioFormat is 'wav'");
        }
        long sign = integer(members, "sign", 1);
        if (sign < 1 || sign > 3) {
            throw new EncodeException("sign is 1, 2 or 3, not " + sign);
        }
        Map<String, Object> extra = new LinkedHashMap<>();
        for (Map.Entry<String, ?> member : members.entrySet()) {
            if (!isMember(member.getKey())) {
                extra.put(member.getKey(), member.getValue());
            }
        }
        return new TalAudio(
                type,
                small(integer(members, "sampleRate", DEFAULT.sampleRate)),
                small(integer(members, "channels", DEFAULT.channels)),
                text(members, "question", ""),
                text(members, "answer", ""),
                text(members, "url", ""),
                Sign.values()[(int) sign - 1],
                integer(members, "order", 1),
                extra);
    }

    private static String text(Map<String, ?> members, String name, String absent) {
        Object value = members.get(name);
        if (value == null && !members.containsKey(name)) {
            return absent;
        }
        if (value instanceof String text) {
            return text;
        }
        throw new EncodeException(name + " is a string, not " + value);
    }

    private static long integer(Map<String, ?> members, String name, long absent) {
        Object value = members.get(name);
        if (value == null && !members.containsKey(name)) {
            return absent;
        }
        if (value instanceof Long || value instanceof Integer) {
            return ((Number) value).longValue();
        }
        throw new EncodeException(name + " is an integer, not " + value);
    }

    /** What does not fit becomes something that is out of range too. */
    private static int small(long value) {
        return (int) Math.max(Integer.MIN_VALUE, Math.min(value, Integer.MAX_VALUE));
    }

    /**
     * The header as it is written: the ten members in their order, then those in {@link #extra()}.
     *
     * @return a new map
     */
    public Map<String, Object> toMembers() {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("audioType", sampleType.wireName());
        members.put("bitDepth", sampleType.bits());
        members.put("sampleRate", sampleRate);
        members.put("channels", channels);
        members.put("audioFormat", FORMAT);
        members.put("question", question);
        members.put("answer", answer);
        members.put("url", url);
        members.put("sign", sign.number());
        members.put("order", order);
        members.putAll(extra);
        return members;
    }

    /**
     * What one sample frame takes, a sample of each channel: payloads are a multiple of it.
     *
     * @return bytes
     */
    public int blockAlign() {
        return sampleType.bytes() * channels;
    }

    /**
     * Starts from the defaults.
     *
     * @return a new builder
     */
    public static Builder builder() {
        return DEFAULT.toBuilder();
    }

    /**
     * Starts from these members.
     *
     * @return a new builder
     */
    public Builder toBuilder() {
        return new Builder(this);
    }

    /** Sets members one by one; what they are is checked at the end. */
    public static final class Builder {
        private SampleType sampleType;
        private int sampleRate;
        private int channels;
        private String question;
        private String answer;
        private String url;
        private Sign sign;
        private long order;
        private Map<String, Object> extra;

        private Builder(TalAudio from) {
            sampleType = from.sampleType;
            sampleRate = from.sampleRate;
            channels = from.channels;
            question = from.question;
            answer = from.answer;
            url = from.url;
            sign = from.sign;
            order = from.order;
            extra = from.extra;
        }

        /**
         * Sets {@code audioType} and {@code bitDepth}.
         *
         * @param value what the samples are
         * @return this
         */
        public Builder sampleType(SampleType value) {
            sampleType = value;
            return this;
        }

        /**
         * Sets {@code sampleRate}.
         *
         * @param value Hz
         * @return this
         */
        public Builder sampleRate(int value) {
            sampleRate = value;
            return this;
        }

        /**
         * Sets {@code channels}.
         *
         * @param value how many
         * @return this
         */
        public Builder channels(int value) {
            channels = value;
            return this;
        }

        /**
         * Sets {@code question}.
         *
         * @param value what was asked
         * @return this
         */
        public Builder question(String value) {
            question = value;
            return this;
        }

        /**
         * Sets {@code answer}.
         *
         * @param value the text spoken
         * @return this
         */
        public Builder answer(String value) {
            answer = value;
            return this;
        }

        /**
         * Sets {@code url}.
         *
         * @param value where it comes from
         * @return this
         */
        public Builder url(String value) {
            url = value;
            return this;
        }

        /**
         * Sets {@code sign}.
         *
         * @param value where in the answer the frame stands
         * @return this
         */
        public Builder sign(Sign value) {
            sign = value;
            return this;
        }

        /**
         * Sets {@code order}.
         *
         * @param value the frame's number in its answer, from 1
         * @return this
         */
        public Builder order(long value) {
            order = value;
            return this;
        }

        /**
         * Sets the members beside the ten.
         *
         * @param value all of them
         * @return this
         */
        public Builder extra(Map<String, Object> value) {
            extra = value;
            return this;
        }

        /**
         * Checks the members.
         *
         * @return the header
         * @throws EncodeException if one is outside its range
         */
        public TalAudio build() {
            return new TalAudio(sampleType, sampleRate, channels, question, answer, url, sign, order, extra);
        }
    }
}
