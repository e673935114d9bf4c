package io.github.objectstreaming.http;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;

/** A server on loopback that answers each connection with the bytes of a test. */
final class Server implements AutoCloseable {
    interface Answer {
        /** Writes the answer. Returns true to close the connection, false to keep it open until the client closes it. */
        boolean write(OutputStream out) throws IOException;
    }

    final List<String> requests = new CopyOnWriteArrayList<>();
    /** Reaches 0 when a client has closed a connection. */
    final CountDownLatch gone = new CountDownLatch(1);

    private final ServerSocket socket;

    Server(Answer answer) throws IOException {
        socket = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        Thread thread = new Thread(() -> accept(answer), "test server");
        thread.setDaemon(true);
        thread.start();
    }

    URI uri() {
        return URI.create("http://127.0.0.1:" + socket.getLocalPort() + "/objects");
    }

    private void accept(Answer answer) {
        while (true) {
            try {
                Socket connection = socket.accept();
                Thread thread = new Thread(() -> serve(connection, answer), "test connection");
                thread.setDaemon(true);
                thread.start();
            } catch (IOException error) {
                return; // closed
            }
        }
    }

    private void serve(Socket connection, Answer answer) {
        try (connection) {
            BufferedReader in =
                    new BufferedReader(new InputStreamReader(connection.getInputStream(), StandardCharsets.ISO_8859_1));
            StringBuilder request = new StringBuilder();
            int length = 0;
            for (String line; (line = in.readLine()) != null && !line.isEmpty(); ) {
                request.append(line).append('\n');
                if (line.toLowerCase(java.util.Locale.ROOT).startsWith("content-length:")) {
                    length = Integer.parseInt(line.substring(15).strip());
                }
            }
            for (int n = 0; n < length; n++) {
                request.append((char) in.read());
            }
            requests.add(request.toString());
            if (answer.write(connection.getOutputStream())) {
                connection.shutdownOutput();
            }
            while (in.read() >= 0) {
                // until the client closes the connection, so that the last bytes are not lost by a reset
            }
            gone.countDown();
        } catch (IOException error) {
            gone.countDown(); // the client closed first
        }
    }

    /** Writes a response. With a length of -1 the body ends with the connection. */
    static void respond(OutputStream out, String status, String contentType, long length, byte[] body)
            throws IOException {
        String head = "HTTP/1.1 " + status + "\r\n"
                + (contentType.isEmpty() ? "" : "Content-Type: " + contentType + "\r\n")
                + (length < 0 ? "" : "Content-Length: " + length + "\r\n")
                + "Connection: close\r\n\r\n";
        // In one piece, because a second one would wait for the acknowledgement of the first.
        ByteArrayOutputStream response = new ByteArrayOutputStream();
        response.writeBytes(head.getBytes(StandardCharsets.ISO_8859_1));
        response.writeBytes(body);
        out.write(response.toByteArray());
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
