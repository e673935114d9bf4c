/** The coder {@code json}: headers and payloads as trees, maps or classes of your own, by Jackson. */
package io.github.objectstreaming.json;
