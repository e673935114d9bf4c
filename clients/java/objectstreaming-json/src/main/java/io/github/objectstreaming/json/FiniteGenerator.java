package io.github.objectstreaming.json;

import com.fasterxml.jackson.core.JsonGenerationException;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.JsonGeneratorDelegate;
import java.io.IOException;

/** Refuses NaN and the infinities, which Jackson would write as strings or as invalid JSON. */
final class FiniteGenerator extends JsonGeneratorDelegate {
    FiniteGenerator(JsonGenerator generator) {
        super(generator, false);
    }

    @Override
    public void writeNumber(double value) throws IOException {
        check(value);
        super.writeNumber(value);
    }

    @Override
    public void writeNumber(float value) throws IOException {
        check(value);
        super.writeNumber(value);
    }

    @Override
    public void writeArray(double[] values, int offset, int length) throws IOException {
        for (int n = offset; n < offset + length; n++) {
            check(values[n]);
        }
        super.writeArray(values, offset, length);
    }

    private void check(double value) throws IOException {
        if (!Double.isFinite(value)) {
            throw new JsonGenerationException(value + " is not JSON; send null or a string instead", this);
        }
    }
}
