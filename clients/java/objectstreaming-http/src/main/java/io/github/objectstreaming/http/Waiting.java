package io.github.objectstreaming.http;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** The time between two attempts, which tests replace. */
class Waiting {
    long nanos() {
        return System.nanoTime();
    }

    /** A random time, so that clients that were cut together do not come back together. */
    Duration random(Duration longest) {
        return Duration.ofNanos(ThreadLocalRandom.current().nextLong(longest.toNanos() + 1));
    }

    /** Passes the time, or returns when the stream is left. */
    void pause(Duration time, CountDownLatch left) throws InterruptedException {
        left.await(TimeUnit.NANOSECONDS.convert(time), TimeUnit.NANOSECONDS);
    }
}
