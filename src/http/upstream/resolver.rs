//! The addresses of the application's name, asked for anew for every new connection.
//!
//! The system's resolver blocks, for half a minute where no name server answers. It runs on a thread of its own, one at a
//! time, and who asks meanwhile gets its answer: neither threads nor a stop of the service depend on name servers. The
//! runtime's own threads would not do: a runtime waits for them before it ends.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::watch;
use tower_service::Service;

/// Addresses, or the error in a form that can be given to everybody who waits.
type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;
type Lookup = watch::Receiver<Option<Found>>;

/// Resolves the one name of one upstream; a handle.
#[derive(Clone, Default)]
pub(super) struct Resolver(Arc<Mutex<Option<Lookup>>>);

impl Resolver {
    /// The lookup under way, or a new one.
    fn lookup(&self, name: &Name) -> io::Result<Lookup> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = &*under_way {
            return Ok(lookup.clone());
        }
        let (found, lookup) = watch::channel(None);
        let (name, slot) = (name.as_str().to_owned(), Arc::clone(&self.0));
        std::thread::Builder::new().name("resolve".into()).spawn(move || {
            let addresses = (name.as_str(), 0).to_socket_addrs();
            let addresses = addresses.map(Iterator::collect).map_err(|error| (error.kind(), error.to_string()));
            // Who asks from now on asks anew.
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
            found.send_replace(Some(addresses));
        })?;
        *under_way = Some(lookup.clone());
        Ok(lookup)
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let lookup = self.lookup(&name);
        Box::pin(async move {
            let mut lookup = lookup?;
            let found = lookup.wait_for(Option::is_some).await.map_err(|_gone| io::Error::other("no resolver"))?;
            match &*found {
                Some(Ok(addresses)) => Ok(addresses.clone().into_iter()),
                Some(Err((kind, text))) => Err(io::Error::new(*kind, text.clone())),
                None => Err(io::Error::other("no resolver")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(resolver: &Resolver, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(resolver.clone().call(name.parse().unwrap()).await?.collect())
    }

    #[tokio::test]
    async fn a_name_is_asked_for_anew_each_time_and_once_for_all_who_wait() {
        let resolver = Resolver::default();
        let first = resolver.lookup(&"localhost".parse().unwrap()).unwrap();
        drop(first);
        let (one, other) = tokio::join!(resolve(&resolver, "localhost"), resolve(&resolver, "localhost"));
        assert!(one.unwrap().iter().all(|address| address.ip().is_loopback()));
        assert!(!other.unwrap().is_empty());
        assert!(resolver.0.lock().unwrap().is_none(), "the next one asks anew");
    }

    #[tokio::test]
    async fn a_name_that_is_none_is_an_error() {
        assert!(resolve(&Resolver::default(), "no-such-name.invalid").await.is_err());
    }
}
