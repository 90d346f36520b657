//! A blocking HTTP/1.1 client of few parts: tests need the bytes on the wire in hand.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// WeChat waits five seconds; a test waits longer, so that lateness is seen and not cut off.
const LIMIT: Duration = Duration::from_secs(20);

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// From the first byte sent to the last received.
    pub took: Duration,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether WeChat would count the push as delivered.
    pub fn is_success(&self) -> bool {
        self.status == 200 && self.body == "success"
    }
}

/// One keep-alive connection.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// A POST as WeChat sends it.
    pub fn post(&mut self, target: &str, body: &[u8]) -> std::io::Result<Answer> {
        self.exchange("POST", target, "Content-Type: text/xml\r\n", body)
    }

    /// Any request, and its answer.
    pub fn exchange(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> std::io::Result<Answer> {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\nHost: 127.0.0.1\r\n\
             Pragma: no-cache\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        let sent = Instant::now();
        self.send(&request)?;
        self.receive(sent)
    }

    /// Bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The next answer, to what was sent at `sent`.
    pub fn receive(&mut self, sent: Instant) -> std::io::Result<Answer> {
        let head = self.line()?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| invalid(&head))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new(), took: Duration::ZERO };
        if status == 100 {
            return Ok(answer);
        }
        let length = answer.header("content-length").ok_or_else(|| invalid("an answer without Content-Length"))?;
        let mut body = vec![0; length.parse().map_err(|_| invalid(length))?];
        self.0.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).map_err(|_| invalid("a body that is no UTF-8"))?;
        answer.took = sent.elapsed();
        Ok(answer)
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// A GET over a connection of its own.
pub fn get(address: SocketAddr, target: &str) -> std::io::Result<Answer> {
    Connection::open(address)?.exchange("GET", target, "", b"")
}

fn invalid(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned())
}
