//! What cardhook is compared with: an actix-web handler that reads the body and answers `success`, in a process of its own.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    num::NonZero,
    process::{Child, Command, Stdio},
};

use actix_web::{App, HttpServer, web};
use anyhow::Context as _;

/// Serves until it is killed; says on standard output where.
#[actix_web::main]
pub async fn serve() -> anyhow::Result<()> {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let server = HttpServer::new(|| App::new().default_service(web::to(answer)));
    let server = server.workers(workers).bind(("127.0.0.1", 0))?;
    println!("{}", server.addrs().first().context("no address")?);
    Ok(server.run().await?)
}

async fn answer(_body: web::Bytes) -> &'static str {
    "success"
}

/// The running process; killed when dropped.
pub struct Bare {
    child: Child,
    pub address: SocketAddr,
}

impl Bare {
    /// This program again, as the handler.
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--serve-bare")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("no standard output")?;
        let mut bare = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        bare.address = line.trim().parse()?;
        Ok(bare)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
