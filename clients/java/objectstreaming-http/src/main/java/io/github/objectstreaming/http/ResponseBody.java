package io.github.objectstreaming.http;

import io.github.objectstreaming.IdleTimeoutException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.http.HttpResponse.BodySubscriber;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow.Subscription;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * A body that a thread reads as it arrives, with a timeout for each read. It requests the next buffers only after the
 * thread has taken those before, so that back-pressure reaches the peer.
 */
final class ResponseBody implements BodySubscriber<ResponseBody>, Body {
    /** The timeout before the open frame. It is long, because a model may need time for its first word. */
    static final Duration FIRST_READ = Duration.ofSeconds(60);

    private static final Object END = new Object();
    private static final Object CLOSED = new Object();

    private final CompletableFuture<ResponseBody> ready = new CompletableFuture<>();
    // Lists of buffers, then END, CLOSED or a Throwable. It needs no bound, because one list is requested at a time.
    private final BlockingQueue<Object> arrived = new LinkedBlockingQueue<>();
    private volatile Subscription subscription;
    private volatile boolean closed;
    private Iterator<ByteBuffer> buffers = List.<ByteBuffer>of().iterator();
    private Supplier<Duration> limit = () -> FIRST_READ;
    private LongSupplier position = () -> 0;

    @Override
    public void within(Supplier<Duration> limit, LongSupplier position) {
        this.limit = limit;
        this.position = position;
    }

    @Override
    public CompletionStage<ResponseBody> getBody() {
        return ready;
    }

    @Override
    public void onSubscribe(Subscription subscription) {
        this.subscription = subscription;
        if (closed) {
            subscription.cancel();
        } else {
            subscription.request(1);
        }
        ready.complete(this);
    }

    @Override
    public void onNext(List<ByteBuffer> item) {
        arrived.add(item);
    }

    @Override
    public void onError(Throwable error) {
        arrived.add(error);
        ready.completeExceptionally(error);
    }

    @Override
    public void onComplete() {
        arrived.add(END);
    }

    @Override
    public ByteBuffer read() throws IOException {
        if (buffers.hasNext()) {
            return buffers.next();
        }
        Duration longest = limit.get();
        Object item;
        try {
            item = arrived.poll(TimeUnit.NANOSECONDS.convert(longest), TimeUnit.NANOSECONDS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted");
        }
        if (item == null) {
            long frames = position.getAsLong();
            throw new IdleTimeoutException(
                    "nothing arrived for " + longest.toMillis() / 1000.0 + " s, not even a ping, after " + frames
                            + " data frames",
                    frames);
        }
        if (item instanceof List<?> list) {
            subscription.request(1);
            @SuppressWarnings("unchecked") // put there by onNext
            List<ByteBuffer> taken = (List<ByteBuffer>) list;
            buffers = taken.iterator();
            return buffers.hasNext() ? buffers.next() : ByteBuffer.allocate(0);
        }
        arrived.add(item); // for the next call: the body has ended
        if (item instanceof IOException error) {
            throw error;
        }
        if (item instanceof Throwable error) {
            throw new IOException(error);
        }
        if (item == CLOSED) {
            throw new IOException("closed");
        }
        return null;
    }

    @Override
    public void close() {
        closed = true;
        Subscription open = subscription;
        if (open != null) {
            open.cancel();
        }
        arrived.add(CLOSED);
    }
}
