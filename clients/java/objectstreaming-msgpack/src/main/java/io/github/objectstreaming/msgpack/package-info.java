/** The coder {@code msgpack}, with msgpack-core. */
package io.github.objectstreaming.msgpack;
