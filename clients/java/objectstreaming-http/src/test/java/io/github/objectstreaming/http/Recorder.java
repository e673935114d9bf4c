package io.github.objectstreaming.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.objectstreaming.Message;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Records its events, and requests messages as the test wants. */
final class Recorder implements Flow.Subscriber<Message<ObjectNode, JsonNode>> {
    final BlockingQueue<String> events = new LinkedBlockingQueue<>();
    Flow.Subscription subscription;

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        this.subscription = subscription;
    }

    @Override
    public void onNext(Message<ObjectNode, JsonNode> message) {
        events.add(message.payload().asText());
    }

    @Override
    public void onError(Throwable error) {
        events.add(error.getClass().getSimpleName());
    }

    @Override
    public void onComplete() {
        events.add("complete");
    }

    String next() throws InterruptedException {
        return events.poll(10, TimeUnit.SECONDS);
    }
}
