/** The coder {@code json}, with Jackson: headers and payloads are trees, maps or your own classes. */
package io.github.objectstreaming.json;
