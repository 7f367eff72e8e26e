//! A mail server that keeps what it is given. The protocol is the crate `mailin`'s.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{IpAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use mail_parser::MessageParser;
use mailin::{
    Action, Handler, Response, Session, SessionBuilder,
    response::{INTERNAL_ERROR, OK},
};

/// An e-mail as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) recipients: Vec<String>,
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// The server. It ends with the process.
pub(crate) struct MailServer {
    pub(crate) url: String,
    shared: Shared,
}

#[derive(Clone, Default)]
struct Shared {
    mails: Arc<Mutex<Vec<Mail>>>,
    refuses: Arc<AtomicBool>,
    refused: Arc<AtomicBool>,
}

impl MailServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let shared = Shared::default();
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                thread::spawn(move || drop(serve(&stream, shared)));
            }
        });
        Self { url, shared }
    }

    /// Whether it takes nothing for now.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Whether it has refused anything.
    pub(crate) fn has_refused(&self) -> bool {
        self.shared.refused.load(Ordering::SeqCst)
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, shared: Shared) -> io::Result<()> {
    let (from, mut to) = (stream.peer_addr()?.ip(), stream.try_clone()?);
    let handler = Receiving { shared, recipients: Vec::new(), data: Vec::new() };
    let mut session: Session<Receiving> = SessionBuilder::new("sink.example").build(from, handler);
    session.greeting().write_to(&mut to)?;
    let (mut reader, mut line) = (BufReader::new(stream), Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        let response = session.process(&line);
        line.clear();
        match response.action {
            Action::NoReply => {}
            Action::Close => return response.write_to(&mut to),
            _ => {
                response.write_to(&mut to)?;
                to.flush()?;
            }
        }
    }
    Ok(())
}

struct Receiving {
    shared: Shared,
    recipients: Vec<String>,
    data: Vec<u8>,
}

impl Handler for Receiving {
    fn mail(&mut self, _: IpAddr, _: &str, _: &str) -> Response {
        self.recipients.clear();
        self.data.clear();
        if self.shared.refuses.load(Ordering::SeqCst) {
            self.shared.refused.store(true, Ordering::SeqCst);
            return INTERNAL_ERROR;
        }
        OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        self.recipients.push(to.to_owned());
        OK
    }

    fn data(&mut self, buffer: &[u8]) -> io::Result<()> {
        self.data.extend_from_slice(buffer);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let message = MessageParser::default().parse(&self.data).unwrap();
        let mail = Mail {
            recipients: std::mem::take(&mut self.recipients),
            id: message.message_id().unwrap_or_default().to_owned(),
            subject: message.subject().unwrap_or_default().to_owned(),
            text: message.body_text(0).unwrap_or_default().replace("\r\n", "\n"),
            html: message.body_html(0).unwrap_or_default().into_owned(),
        };
        self.shared.mails.lock().unwrap().push(mail);
        OK
    }
}
