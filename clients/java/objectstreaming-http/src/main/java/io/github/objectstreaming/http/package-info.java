/** Streams over HTTP, with {@code java.net.http}: send a request, iterate over the messages of the answer. */
package io.github.objectstreaming.http;
