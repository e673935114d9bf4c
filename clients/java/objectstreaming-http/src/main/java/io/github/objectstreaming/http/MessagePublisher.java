package io.github.objectstreaming.http;

import io.github.objectstreaming.Message;
import io.github.objectstreaming.MessageStream;
import io.github.objectstreaming.PayloadException;
import java.io.IOException;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/**
 * The messages of one response as a publisher. When there is a subscriber, a thread of the executor sends the request and
 * reads. It waits while no message is requested. It reads one message ahead, so that the end is reported without a request.
 */
final class MessagePublisher<H, P> implements Flow.Publisher<Message<H, P>> {
    /** Sends the request. */
    interface Opening<H, P> {
        MessageStream<H, P> open() throws IOException, InterruptedException;
    }

    private final Opening<H, P> opening;
    private final Consumer<PayloadException> refused;
    private final Executor executor;
    private final AtomicBoolean subscribed = new AtomicBoolean();

    MessagePublisher(Opening<H, P> opening, Consumer<PayloadException> refused, Executor executor) {
        this.opening = opening;
        this.refused = refused;
        this.executor = executor;
    }

    @Override
    public void subscribe(Flow.Subscriber<? super Message<H, P>> subscriber) {
        Objects.requireNonNull(subscriber);
        Reading reading = new Reading(subscriber);
        subscriber.onSubscribe(reading);
        if (subscribed.compareAndSet(false, true)) {
            try {
                executor.execute(reading);
            } catch (RejectedExecutionException refusal) {
                subscriber.onError(refusal);
            }
        } else {
            subscriber.onError(
                    new IllegalStateException("only one subscriber is allowed: the request is not sent again"));
        }
    }

    private final class Reading implements Flow.Subscription, Runnable {
        private final Flow.Subscriber<? super Message<H, P>> subscriber;
        private long demand;
        private boolean cancelled;
        private IllegalArgumentException misuse;
        private Thread sending;
        private MessageStream<H, P> stream;

        Reading(Flow.Subscriber<? super Message<H, P>> subscriber) {
            this.subscriber = subscriber;
        }

        @Override
        public synchronized void request(long n) {
            if (n > 0) {
                demand = demand + n < 0 ? Long.MAX_VALUE : demand + n;
                notifyAll();
            } else if (misuse == null) {
                misuse = new IllegalArgumentException("request(" + n + "): a positive number is required");
                stop();
            }
        }

        @Override
        public synchronized void cancel() {
            cancelled = true;
            stop();
        }

        private void stop() {
            notifyAll();
            if (sending != null) {
                sending.interrupt();
            }
            if (stream != null) {
                stream.close();
            }
        }

        @Override
        public void run() {
            Throwable failure = null;
            try {
                if (open()) {
                    for (Message<H, P> message; (message = next()) != null && requested(); ) {
                        subscriber.onNext(message);
                    }
                }
            } catch (IOException | InterruptedException | RuntimeException error) {
                failure = error;
            } finally {
                if (stream != null) {
                    stream.close();
                }
            }
            synchronized (this) {
                if (cancelled) {
                    return;
                }
                failure = misuse != null ? misuse : failure;
            }
            if (failure instanceof InterruptedException) {
                Thread.currentThread().interrupt(); // the thread is the executor's
            }
            if (failure == null) {
                subscriber.onComplete();
            } else {
                subscriber.onError(failure);
            }
        }

        private Message<H, P> next() {
            while (true) {
                try {
                    return stream.read();
                } catch (PayloadException error) {
                    refused.accept(error);
                }
            }
        }

        /** Sends the request. Returns false if the subscriber has cancelled. */
        private boolean open() throws IOException, InterruptedException {
            synchronized (this) {
                if (stopped()) {
                    return false;
                }
                sending = Thread.currentThread();
            }
            MessageStream<H, P> opened = null;
            try {
                opened = opening.open();
            } finally {
                synchronized (this) {
                    sending = null;
                    stream = opened;
                    if (stopped()) {
                        Thread.interrupted(); // the interrupt was only for the sending
                        opened = null; // closed by run()
                    }
                }
            }
            return opened != null;
        }

        /** Waits until a message is requested. Returns false if the subscriber has cancelled. */
        private synchronized boolean requested() throws InterruptedException {
            while (demand == 0 && !stopped()) {
                wait();
            }
            demand = demand == Long.MAX_VALUE ? demand : demand - 1;
            return !stopped();
        }

        private boolean stopped() {
            return cancelled || misuse != null;
        }
    }
}
