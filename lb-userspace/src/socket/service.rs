//! What the socket's clients are served with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Command, Complaint, ServerName};
use crate::dataplane::Error;
use crate::kind::Kind;
use crate::monitor::Monitor;
use crate::stats::View;

/// A client's command, and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<(), Complaint>>,
}

/// Has the agent's main loop do something, and waits until it has.
pub async fn instruct(requests: &mpsc::Sender<Request>, command: Command) -> Result<(), Complaint> {
    let (answer, answered) = oneshot::channel();
    let ending = || Complaint { kind: Kind::Environment, text: "the agent is ending".to_owned() };
    requests.send(Request { command, answer }).await.map_err(|_| ending())?;
    answered.await.map_err(|_| ending())?
}

/// A balancer that can be looked at.
pub trait Watched: Send + Sync + 'static {
    /// As it is now.
    fn view(&self) -> impl Future<Output = Result<Arc<View>, Error>> + Send;

    /// The servers that it has now, without those that have left the configuration; costs less than a view.
    fn servers(&self) -> impl Future<Output = Result<Vec<ServerName>, Error>> + Send;

    /// Lets the highest values begin anew.
    fn forget_highest(&self) -> impl Future<Output = ()> + Send;
}

impl Watched for Monitor {
    async fn view(&self) -> Result<Arc<View>, Error> {
        Self::view(self).await
    }

    async fn servers(&self) -> Result<Vec<ServerName>, Error> {
        let servers = self.status().await?.servers.into_iter().filter(|server| !server.leaving);
        Ok(servers.map(|server| ServerName { backend: server.backend, name: server.name }).collect())
    }

    async fn forget_highest(&self) {
        Self::forget_highest(self).await;
    }
}

/// All that answers are made from.
#[derive(Debug)]
pub struct Service<W> {
    /// Who does what is asked for.
    pub requests: mpsc::Sender<Request>,
    /// What there is to show.
    pub watched: Arc<W>,
    /// How long a client may take for a command, and for the reading of an answer.
    pub timeout: Duration,
}

impl<W> Clone for Service<W> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), watched: self.watched.clone(), timeout: self.timeout }
    }
}

impl<W: Watched> Service<W> {
    /// Has the agent do something.
    pub(super) async fn ask(&self, command: Command) -> Result<(), Complaint> {
        instruct(&self.requests, command).await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::stats::Server;
    use crate::stats::haproxy::tests::view;

    /// A balancer in which nothing happens.
    pub struct Still {
        view: Arc<View>,
        /// How often the highest values were to begin anew.
        forgotten: AtomicUsize,
    }

    impl Still {
        /// How often the highest values were to begin anew.
        pub fn forgotten(&self) -> usize {
            self.forgotten.load(Ordering::Relaxed)
        }
    }

    impl Default for Still {
        fn default() -> Self {
            Self { view: Arc::new(view()), forgotten: AtomicUsize::new(0) }
        }
    }

    impl Watched for Still {
        async fn view(&self) -> Result<Arc<View>, Error> {
            Ok(self.view.clone())
        }

        async fn servers(&self) -> Result<Vec<ServerName>, Error> {
            let name =
                |server: &Server| ServerName { backend: server.backend.clone(), name: server.name.clone() };
            Ok(self.view.snapshot.servers.iter().map(name).collect())
        }

        async fn forget_highest(&self) {
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Refuses every request with its own words.
    pub fn refusing(watched: Still, timeout: Duration) -> Service<Still> {
        let (sender, mut requests) = mpsc::channel::<Request>(1);
        tokio::spawn(async move {
            while let Some(Request { command, answer }) = requests.recv().await {
                let _ = answer.send(Err(Complaint::wrong(command)));
            }
        });
        Service { requests: sender, watched: Arc::new(watched), timeout }
    }
}
