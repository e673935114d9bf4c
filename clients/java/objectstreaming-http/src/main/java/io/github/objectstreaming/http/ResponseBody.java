package io.github.objectstreaming.http;

import io.github.objectstreaming.ChunkSource;
import io.github.objectstreaming.IdleTimeoutException;
import java.io.ByteArrayOutputStream;
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
 * A body, read as it arrives by a thread that waits no longer than it is told. What has arrived and was not yet taken is
 * at most what the client gives at once: it is asked for more only when that was taken, so that back-pressure reaches
 * the peer.
 */
final class ResponseBody implements BodySubscriber<ResponseBody>, ChunkSource {
    private static final Object END = new Object();
    private static final Object CLOSED = new Object();

    private final CompletableFuture<ResponseBody> ready = new CompletableFuture<>();
    // Lists of buffers, then END, CLOSED or a Throwable; what was asked for one by one needs no bound of its own.
    private final BlockingQueue<Object> arrived = new LinkedBlockingQueue<>();
    private volatile Subscription subscription;
    private volatile boolean closed;
    private Iterator<ByteBuffer> buffers = List.<ByteBuffer>of().iterator();
    private Supplier<Duration> limit = () -> ObjectStreamClient.FIRST_READ;
    private LongSupplier position = () -> 0;

    /** How long a read may take, asked at each, and how far the stream has come, for the exception. */
    void within(Supplier<Duration> limit, LongSupplier position) {
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
            item = arrived.poll(longest.toNanos(), TimeUnit.NANOSECONDS);
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
        arrived.add(item); // what has ended stays so
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

    /** The first bytes of a body that is no stream, as many as come without much ado. */
    byte[] beginning(int size, Duration patience) {
        ByteArrayOutputStream beginning = new ByteArrayOutputStream();
        long latest = System.nanoTime() + patience.toNanos();
        within(() -> Duration.ofNanos(Math.max(0, latest - System.nanoTime())), () -> 0);
        try {
            for (ByteBuffer chunk; beginning.size() < size && (chunk = read()) != null; ) {
                byte[] bytes = new byte[Math.min(chunk.remaining(), size - beginning.size())];
                chunk.get(bytes);
                beginning.write(bytes);
            }
        } catch (IOException | IdleTimeoutException error) {
            // then it is what has come
        } finally {
            close();
        }
        return beginning.toByteArray();
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
