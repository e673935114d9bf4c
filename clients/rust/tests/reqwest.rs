//! `http::Client` on a client of reqwest, to a server that sends what a test gives it.

mod server;

use std::sync::{Arc, Mutex};

use objectstreaming::http::{Body, Client};
use objectstreaming::{Error, JsonCoder};
use server::{part, read_request, whole};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

type Requests = Arc<Mutex<Vec<String>>>;

/// Answers each connection with the next answer, and closes it. Gives its address, and the requests that came.
async fn serve(answers: Vec<Vec<u8>>) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Requests::default();
    let seen = requests.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let request = read_request(&mut connection).await;
            seen.lock().unwrap().push(request.to_lowercase());
            connection.write_all(&answer).await.unwrap();
        }
    });
    (address, requests)
}

fn answer(wire: &[u8]) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/vnd.objectstreaming;v=1\r\n\r\n";
    [head.as_bytes(), wire].concat()
}

#[tokio::test]
async fn a_stream_is_sent_read_and_resumed() {
    let (address, requests) = serve(vec![answer(&part(0, 2)), answer(&whole(2, 3))]).await;
    let client = Client::from(reqwest::Client::new());
    let request = client.post(&format!("http://{address}/ask")).json("?");
    let mut stream = request.send_resuming(JsonCoder::new()).await.unwrap();
    let mut payloads = Vec::new();
    while let Some(message) = stream.next().await {
        payloads.push(message.unwrap().1);
    }
    assert_eq!(payloads, [1, 2, 3]);
    let requests = requests.lock().unwrap();
    assert!(requests[0].starts_with("post /ask ") && requests[0].ends_with("\r\n\r\n\"?\""), "{requests:?}");
    assert!(requests[0].contains("content-length: 3\r\n"), "{requests:?}");
    assert!(requests[1].starts_with("get /streams/s ") && requests[1].contains("last-event-id: 2\r\n"), "{requests:?}");
}

#[tokio::test]
async fn a_body_in_pieces_is_sent() {
    let (address, requests) = serve(vec![answer(&whole(0, 1))]).await;
    let pieces = futures_util::stream::iter(["one", "two"].map(Ok::<_, std::io::Error>));
    let client = Client::from(reqwest::Client::new());
    let request = client.post(&format!("http://{address}/wav"));
    let request = request.body("audio/wav".parse().unwrap(), Body::from_stream(pieces));
    assert!(request.send(JsonCoder::new()).await.is_ok());
    assert!(requests.lock().unwrap()[0].contains("\r\n3\r\none\r\n3\r\ntwo\r\n"));
}

#[tokio::test]
async fn a_redirect_is_followed_but_to_another_origin_nothing_is_resumed() {
    for same in [true, false] {
        let (target, asked) = serve(vec![answer(&part(0, 1)), answer(&whole(1, 2))]).await;
        let place = if same { "/moved".into() } else { format!("http://{target}/moved") };
        let redirect =
            format!("HTTP/1.1 307 Moved\r\nConnection: close\r\nContent-Length: 0\r\nLocation: {place}\r\n\r\n");
        let mut answers = vec![redirect.into_bytes()];
        answers.extend(same.then(|| answer(&part(0, 1))));
        answers.extend(same.then(|| answer(&whole(1, 2))));
        let (address, redirected) = serve(answers).await;
        let client = Client::from(reqwest::Client::new());
        let request = client.post(&format!("http://{address}/ask")).json("?");
        let mut stream = request.send_resuming(JsonCoder::new()).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().1, 1);
        let second = stream.next().await.unwrap();
        if same {
            assert_eq!(second.unwrap().1, 2);
            let redirected = redirected.lock().unwrap();
            assert!(redirected.len() == 3 && redirected[1].starts_with("post /moved "), "{redirected:?}");
            assert!(redirected[1].ends_with("\r\n\r\n\"?\""), "{redirected:?}");
        } else {
            assert!(matches!(second, Err(Error::Incomplete(_))), "{second:?}");
            assert_eq!(asked.lock().unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_is_the_cause_of_the_error() {
    let (_refusing, address) = server::refusing();
    let client = Client::from(reqwest::Client::new());
    let error = client.get(&format!("http://{address}/")).send(JsonCoder::new()).await.unwrap_err();
    let Error::Transport(error) = error else { panic!("{error:?}") };
    let causes = std::iter::successors(std::error::Error::source(&error), |error| error.source());
    assert!(causes.last().unwrap().is::<std::io::Error>());
}
