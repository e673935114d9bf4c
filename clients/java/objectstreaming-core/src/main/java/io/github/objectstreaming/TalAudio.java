package io.github.objectstreaming;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * The header of a frame of speech: text, audio and lip (SPEC section 4.2).
 *
 * <pre>{@code
 * TalAudio.builder().answer("Good morning.").order(2).sign(Sign.MIDDLE).build()
 * }</pre>
 *
 * @param sampleType the members {@code audioType} and {@code bitDepth}
 * @param sampleRate sample frames per second, 1 to 768,000
 * @param channels the number of channels, 1 to 255, interleaved
 * @param question the question
 * @param answer the text of this audio
 * @param url the source of the answer
 * @param sign start, middle or end of an answer
 * @param order the number of the frame in its answer, 1 to 2^53 - 1
 * @param extra all other members, which are sent again; unmodifiable
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

    /** The highest sample rate of audio interfaces: 16 times 48 kHz. */
    public static final int MAX_SAMPLE_RATE = 768_000;
    /** The largest number of channels. */
    public static final int MAX_CHANNELS = 255;
    /** The largest integer that every JSON reader keeps exactly. */
    public static final long MAX_ORDER = (1L << 53) - 1;

    private static final String FORMAT = "wav";

    /** A header with the defaults of all members. */
    public static final TalAudio DEFAULT =
            new TalAudio(SampleType.INT16, 16_000, 1, "", "", "", Sign.START, 1, Map.of());

    /** The names of the ten members. */
    private static final Set<String> NAMES = DEFAULT.toMembers().keySet();

    /** The place of a frame in its answer. */
    public enum Sign {
        /** 1: the first frame, whose order is 1. */
        START,
        /** 2: a frame in the middle. */
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
     * @param sampleRate sample frames per second, 1 to 768,000
     * @param channels the number of channels, 1 to 255, interleaved
     * @param question the question
     * @param answer the text of this audio
     * @param url the source of the answer
     * @param sign start, middle or end of an answer
     * @param order the number of the frame in its answer, 1 to 2^53 - 1
     * @param extra all other members, copied
     * @throws EncodeException if a member is outside its range
     */
    public TalAudio {
        within("sampleRate", sampleRate, MAX_SAMPLE_RATE);
        within("channels", channels, MAX_CHANNELS);
        within("order", order, MAX_ORDER);
        if (sampleType == null || question == null || answer == null || url == null || sign == null) {
            throw new EncodeException("no member of a TalAudio may be null");
        }
        extra = otherMembers(extra);
    }

    private static Map<String, Object> otherMembers(Map<String, Object> extra) {
        if (extra.isEmpty()) { // as in most headers
            return Map.of();
        }
        for (String name : extra.keySet()) {
            if (NAMES.contains(name)) {
                throw new EncodeException("extra cannot hold " + name + ", which is one of the ten members");
            }
        }
        return Collections.unmodifiableMap(new LinkedHashMap<>(extra));
    }

    private static long within(String name, long value, long largest) {
        if (value < 1 || value > largest) {
            throw new EncodeException(name + " is an integer from 1 to " + largest + ", not " + value);
        }
        return value;
    }

    /**
     * Reads the members of a header. Absent members get their defaults.
     *
     * @param members as in {@link Frame#header()}
     * @return the header
     * @throws EncodeException if a member is outside the table of SPEC section 4.2
     */
    public static TalAudio of(Map<String, ?> members) {
        Map<String, Object> all = DEFAULT.toMembers();
        all.putAll(members);
        String audioType = text(all, "audioType");
        SampleType type = audioType.equals("int16") ? SampleType.INT16 : SampleType.INT32;
        if (!audioType.equals(type.wireName())) {
            throw new EncodeException("audioType is 'int16' or 'int32', not '" + audioType + "'");
        }
        long bits = integer(all, "bitDepth");
        if (bits != type.bits()) {
            throw new EncodeException(
                    "bitDepth is " + type.bits() + " where audioType is '" + audioType + "', not " + bits);
        }
        String format = text(all, "audioFormat");
        if (!format.equals(FORMAT)) {
            throw new EncodeException("audioFormat is 'wav', not '" + format + "'");
        }
        int sampleRate = (int) within("sampleRate", integer(all, "sampleRate"), MAX_SAMPLE_RATE);
        int channels = (int) within("channels", integer(all, "channels"), MAX_CHANNELS);
        Sign sign = Sign.values()[(int) within("sign", integer(all, "sign"), Sign.values().length) - 1];
        String question = text(all, "question");
        String answer = text(all, "answer");
        String url = text(all, "url");
        long order = integer(all, "order");
        all.keySet().removeAll(NAMES);
        return new TalAudio(type, sampleRate, channels, question, answer, url, sign, order, all);
    }

    private static String text(Map<String, ?> members, String name) {
        if (members.get(name) instanceof String text) {
            return text;
        }
        throw new EncodeException(name + " is a string, not " + members.get(name));
    }

    private static long integer(Map<String, ?> members, String name) {
        Object value = members.get(name);
        if (value instanceof Long || value instanceof Integer) {
            return ((Number) value).longValue();
        }
        throw new EncodeException(name + " is an integer, not " + value);
    }

    /**
     * The header as it is written: the ten members in their order, then those of {@link #extra()}.
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
     * The size of a sample frame: one sample for each channel. The size of a payload is a multiple of it.
     *
     * @return the size in bytes
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
        return new Builder(toMembers());
    }

    /** Sets members one by one. They are checked at the end. */
    public static final class Builder {
        private final Map<String, Object> members;

        private Builder(Map<String, Object> members) {
            this.members = members;
        }

        private Builder set(String name, Object value) {
            members.put(name, value);
            return this;
        }

        /**
         * Sets {@code audioType} and {@code bitDepth}.
         *
         * @param value the type of the samples
         * @return this
         */
        public Builder sampleType(SampleType value) {
            return set("audioType", value.wireName()).set("bitDepth", value.bits());
        }

        /**
         * Sets {@code sampleRate}.
         *
         * @param value in Hz
         * @return this
         */
        public Builder sampleRate(int value) {
            return set("sampleRate", value);
        }

        /**
         * Sets {@code channels}.
         *
         * @param value the number of channels
         * @return this
         */
        public Builder channels(int value) {
            return set("channels", value);
        }

        /**
         * Sets {@code question}.
         *
         * @param value the question
         * @return this
         */
        public Builder question(String value) {
            return set("question", value);
        }

        /**
         * Sets {@code answer}.
         *
         * @param value the text of the audio
         * @return this
         */
        public Builder answer(String value) {
            return set("answer", value);
        }

        /**
         * Sets {@code url}.
         *
         * @param value the source of the answer
         * @return this
         */
        public Builder url(String value) {
            return set("url", value);
        }

        /**
         * Sets {@code sign}.
         *
         * @param value the place of the frame in its answer
         * @return this
         */
        public Builder sign(Sign value) {
            return set("sign", value.number());
        }

        /**
         * Sets {@code order}.
         *
         * @param value the number of the frame in its answer, from 1
         * @return this
         */
        public Builder order(long value) {
            return set("order", value);
        }

        /**
         * Replaces all other members.
         *
         * @param value the members
         * @return this
         * @throws EncodeException if one of the ten is among them
         */
        public Builder extra(Map<String, Object> value) {
            members.keySet().retainAll(NAMES);
            members.putAll(otherMembers(value));
            return this;
        }

        /**
         * Checks the members.
         *
         * @return the header
         * @throws EncodeException if a member is outside its range
         */
        public TalAudio build() {
            return of(members);
        }
    }
}
