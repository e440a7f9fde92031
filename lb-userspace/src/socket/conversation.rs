//! What a client says, line by line, and what it gets.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::runtime::{self, Asked, Order, Show};
use super::{Command, Complaint, OWN_VERB, ServerName, Service, Watched};

/// The longest line that is read, in bytes; HAProxy's buffers have as many.
const LONGEST: u64 = 16 * 1024;

/// How much of an answer has to be taken within the timeout.
const PORTION: usize = 4096;

/// What an interactive client sees when it may go on.
const PROMPT: &str = "\n> ";

/// What an answer to any other ends with.
const END: &str = "\n";

/// A conversation with a client.
pub(super) struct Conversation<W> {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    service: Service<W>,
    timeout: Duration,
    is_interactive: bool,
}

/// What follows on a command.
enum Next {
    Answer(String),
    /// The client has said that this is all.
    End,
}

impl<W: Watched> Conversation<W> {
    pub fn new(stream: UnixStream, service: Service<W>) -> Self {
        let (reader, writer) = stream.into_split();
        let timeout = service.timeout;
        Self { reader: BufReader::new(reader), writer, service, timeout, is_interactive: false }
    }

    /// Answers until the client has heard all that it wants to. As with HAProxy that is, unless it has asked
    /// for a prompt, when no further line has come along with the last one.
    pub async fn run(mut self) -> io::Result<()> {
        while let Some(line) = self.line().await? {
            for command in commands(&line) {
                match self.obey(command).await {
                    Next::Answer(answer) => self.write(answer).await?,
                    Next::End => return Ok(()),
                }
            }
            if !self.is_interactive && self.reader.buffer().is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// The next line without its end. None at the end, also if that is in the middle of a line, as what is
    /// cut off may mean something else; and none if the line is too long.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(LONGEST);
        timeout(self.timeout, limited.read_until(b'\n', &mut line)).await??;
        let line = line.strip_suffix(b"\n");
        Ok(line.map(|line| String::from_utf8_lossy(line).into_owned()))
    }

    async fn obey(&mut self, line: &str) -> Next {
        if let Some(own) = own(line) {
            return Next::Answer(self.obey_own(own).await);
        }
        let Asked { server, order } = runtime::asked(line);
        // Whoever names a server that is not there is told so, whatever else is wrong.
        if let Some(server) = server
            && let Some(missing) = self.missing(&server).await
        {
            return Next::Answer(missing);
        }
        match order {
            Order::Say(text) => return Next::Answer(text),
            Order::Show(show) => return Next::Answer(self.show(&show).await),
            Order::Change(command) => return Next::Answer(self.change(command).await),
            Order::Quit => return Next::End,
            Order::Prompt => self.is_interactive = !self.is_interactive,
            Order::Timeout(timeout) => self.timeout = timeout,
            Order::ForgetHighest => self.service.watched.forget_highest().await,
            Order::Nothing => {}
        }
        Next::Answer(String::new())
    }

    /// What is said of a server that is not there.
    async fn missing(&self, server: &ServerName) -> Option<String> {
        match self.service.watched.servers().await {
            Ok(servers) => {
                let found = server.find(&servers, |ServerName { backend, name }| (backend, name));
                found.err().map(|missing| format!("{missing}\n"))
            }
            Err(error) => Some(format!("{error}\n")),
        }
    }

    async fn show(&self, show: &Show) -> String {
        match self.service.watched.view().await {
            Ok(view) => show.answer(&view),
            Err(error) => format!("{error}\n"),
        }
    }

    /// HAProxy says nothing of a success.
    async fn change(&self, command: Command) -> String {
        self.service.ask(command).await.map_or_else(|complaint| format!("{complaint}\n"), |()| String::new())
    }

    /// What the command line wants, with the kind of a failure.
    async fn obey_own(&self, line: &str) -> String {
        let outcome = match line.parse::<Command>() {
            Ok(command) => self.service.ask(command).await,
            Err(error) => Err(Complaint::wrong(error)),
        };
        outcome.map_or_else(|complaint| complaint.to_line() + "\n", |()| String::new())
    }

    async fn write(&mut self, mut answer: String) -> io::Result<()> {
        answer += if self.is_interactive { PROMPT } else { END };
        for portion in answer.as_bytes().chunks(PORTION) {
            timeout(self.timeout, self.writer.write_all(portion)).await??;
        }
        Ok(())
    }
}

/// The rest of a line of the command line's own.
fn own(line: &str) -> Option<&str> {
    line.strip_prefix(OWN_VERB)?.strip_prefix(' ')
}

/// The commands of a line: `;` ends one, unless a `\` stands before it.
fn commands(line: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let (mut begin, mut is_escaped) = (0, false);
    for (place, character) in line.char_indices() {
        if character == ';' && !is_escaped {
            commands.push(&line[begin..place]);
            begin = place + 1;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    commands.push(&line[begin..]);
    commands
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::socket::service::tests::{Still, refusing};
    use crate::stats::haproxy::version;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(50);

    /// A client's end, and the other one's work.
    fn open(timeout: Duration) -> (UnixStream, Arc<Still>, JoinHandle<io::Result<()>>) {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let service = refusing(Still::default(), timeout);
        let watched = service.watched.clone();
        (near, watched, tokio::spawn(Conversation::new(far, service).run()))
    }

    /// All that is said to these words; the client goes on listening.
    async fn said(words: &[u8]) -> String {
        let (mut client, _, work) = open(LONG);
        let answer = exchange(&mut client, words).await;
        work.await.expect("no panic").expect("no error");
        answer
    }

    async fn exchange(client: &mut UnixStream, words: &[u8]) -> String {
        client.write_all(words).await.expect("can be said");
        heard(client).await
    }

    async fn heard(client: &mut UnixStream) -> String {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("can be heard");
        answer
    }

    #[tokio::test]
    async fn each_answer_ends_with_an_empty_line_and_the_last_with_the_conversation() {
        let version = version();
        assert_eq!(said(b"show version\n").await, format!("{version}\n\n"));
        assert_eq!(said(b"show version\r\n").await, format!("{version}\n\n"));
        assert_eq!(
            said(b"show version;show backend\n").await,
            format!("{version}\n\n# name\nk8s-api-server\nother\n\n")
        );
        assert_eq!(said(b"show version\nshow version\n").await, format!("{version}\n\n{version}\n\n"));
        assert_eq!(said(b"show version;quit;show version\n").await, format!("{version}\n\n"));
    }

    #[tokio::test]
    async fn a_prompt_keeps_the_conversation_going() {
        let version = version();
        let answers = said(b"prompt\nshow version\nset timeout cli 10\nquit\n").await;
        assert_eq!(answers, format!("\n> {version}\n\n> \n> "));
        let answers = said(b"prompt\nprompt\n").await;
        assert_eq!(answers, "\n> \n");
    }

    #[tokio::test]
    async fn changes_are_the_agents_and_refusals_are_answered() {
        assert_eq!(
            said(b"set server k8s-api-server/fenn state drain\n").await,
            "set server k8s-api-server/fenn state drain\n\n"
        );
        assert_eq!(said(b"disable agent k8s-api-server/fenn\n").await, "\n");
    }

    #[tokio::test]
    async fn who_is_missing_is_told_of_before_what_is_wrong() {
        assert_eq!(said(b"set weight nothing/fenn 999\n").await, "No such backend.\n\n");
        assert_eq!(said(b"set server k8s-api-server/nobody state x\n").await, "No such server.\n\n");
        assert_eq!(said(b"enable agent k8s-api-server/nobody\n").await, "No such server.\n\n");
    }

    #[tokio::test]
    async fn the_command_lines_own_words_have_the_kind_of_a_failure() {
        assert_eq!(said(b"xlb reload\n").await, "[wrong] reload\n\n");
        assert!(
            said(b"xlb show info\n").await.starts_with("[wrong] unknown command \"show info\"; there are")
        );
        assert!(said(b"reload\n").await.starts_with("Unknown command."));
    }

    #[tokio::test]
    async fn the_highest_values_begin_anew() {
        let (mut client, watched, _) = open(LONG);
        assert_eq!(exchange(&mut client, b"clear counters all\n").await, "\n");
        assert_eq!(watched.forgotten(), 1);
    }

    #[tokio::test]
    async fn what_is_cut_off_or_too_long_is_not_done() {
        for words in [&b""[..], b"disable server k8s-api-server/fenn", &[b'x'; LONGEST as usize]] {
            let (mut client, _, work) = open(LONG);
            client.write_all(words).await.expect("can be said");
            client.shutdown().await.expect("can be ended");
            assert_eq!(heard(&mut client).await, "");
            work.await.expect("no panic").expect("no error");
        }
        let (mut client, _, work) = open(LONG);
        client.write_all(b"show version\nshow ver").await.expect("can be said");
        client.shutdown().await.expect("can be ended");
        assert_eq!(heard(&mut client).await, format!("{}\n\n", version()));
        work.await.expect("no panic").expect("no error");
    }

    #[tokio::test]
    async fn who_says_nothing_is_not_waited_for() {
        let (_client, _, work) = open(SHORT);
        assert_eq!(work.await.expect("no panic").map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    }

    #[tokio::test]
    async fn who_does_not_listen_is_not_waited_for() {
        let (mut client, _, work) = open(SHORT);
        let lines = "show stat;".repeat(1000);
        client.write_all(format!("{lines}\n").as_bytes()).await.expect("can be said");
        assert_eq!(work.await.expect("no panic").map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    }

    #[test]
    fn a_semicolon_ends_a_command_unless_it_is_escaped() {
        assert_eq!(commands("a;b; c"), ["a", "b", " c"]);
        assert_eq!(commands(r"a\;b\\;c"), [r"a\;b\\", "c"]);
        assert_eq!(commands(""), [""]);
        assert_eq!(commands("é;"), ["é", ""]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (mut client, _, work) = open(LONG);
                // It may have ended already, as after `quit`.
                let _ = client.write_all(&bytes).await;
                let _ = client.shutdown().await;
                let mut answer = Vec::new();
                let _ = client.read_to_end(&mut answer).await;
                work.await.expect("no panic")
            }).expect("no error");
        }
    }
}
