/** Streams over HTTP, on {@code java.net.http}: send a request, iterate over the messages of the answer. */
package io.github.objectstreaming.http;
