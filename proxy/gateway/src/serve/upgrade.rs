//! Upgrades: this process starts the binary anew, hands it the listening sockets, and leaves when it is ready. Until then
//! nothing changes, and if it never is, nothing has.
//!
//! What connects waits in the sockets' queues, which both processes have: none is refused in between.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, IoSlice, IoSliceMut, Write as _},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            ffi::OsStrExt as _,
            net::{UnixDatagram, UnixStream},
        },
    },
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::{io::AsyncReadExt as _, time::timeout};

/// A socket that listens, as the settings name it.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) listens: Listens,
    pub(super) socket: TcpListener,
}

/// For whom a socket listens, and where; the port may be 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listens {
    /// Callers.
    Gate(SocketAddr),
    /// Operators.
    Admin(SocketAddr),
}

/// How this process was started, so that it can be again.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// A process that is to take this one's place.
#[derive(Debug)]
pub(super) struct Successor {
    child: Child,
    channel: UnixStream,
    /// When it was started.
    begun: Instant,
    /// It has taken the callers on, and lives on by itself.
    is_ready: bool,
}

/// What a process was handed by the one before it.
#[derive(Debug)]
pub(crate) struct Inherited {
    channel: UnixStream,
    sockets: Vec<Handed>,
}

impl Origin {
    /// As the command line says, before anything changes the working directory.
    pub(super) fn of_this() -> io::Result<Self> {
        let mut words = env::args_os();
        let program = PathBuf::from(words.next().unwrap_or_else(|| OsString::from("portcullis")));
        let is_path = program.as_os_str().as_bytes().contains(&b'/');
        Ok(Self {
            // A name alone is looked for again, and so is a link: they may lead to another version.
            program: if is_path {
                std::path::absolute(program)?
            } else {
                program
            },
            arguments: words.filter(|word| word != OPTION).collect(),
        })
    }

    /// Starts the binary that is there now, and hands it these sockets.
    pub(super) fn start(&self, sockets: &[Handed]) -> anyhow::Result<Successor> {
        let (channel, theirs) = UnixStream::pair()?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(OPTION)
            .stdin(OwnedFd::from(theirs))
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.program.display()))?;
        let successor = Successor {
            child,
            channel,
            begun: Instant::now(),
            is_ready: false,
        };
        send(&successor.channel, sockets).context("cannot hand the sockets on")?;
        Ok(successor)
    }
}

impl Successor {
    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it serves.
    ///
    /// # Errors
    ///
    /// If it ends before, or takes too long.
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        let channel = self.channel.try_clone()?;
        channel.set_nonblocking(true)?;
        let mut channel = tokio::net::UnixStream::from_std(channel)?;
        let mut said = [0; READY.len()];
        let left = PATIENCE.saturating_sub(self.begun.elapsed());
        let read = timeout(left, channel.read_exact(&mut said)).await;
        let read =
            read.with_context(|| format!("it is not ready after {} s", PATIENCE.as_secs()))?;
        read.context("it ended before it was ready; its log says why")?;
        ensure!(
            said == *READY,
            "it says something else than that it is ready"
        );
        self.is_ready = true;
        tell_systemd(self.pid());
        Ok(())
    }
}

/// Of one that is not ready, nothing stays.
impl Drop for Successor {
    fn drop(&mut self) {
        if !self.is_ready {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Inherited {
    /// Takes over what the process before this one hands on, by standard input.
    pub(crate) fn receive() -> anyhow::Result<Self> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        let channel = UnixStream::from(stdin);
        let sockets = receive(&channel)
            .with_context(|| format!("`{OPTION}` is for a process that another one starts"))?;
        Ok(Self { channel, sockets })
    }

    /// The socket of a listener, if it was handed on.
    pub(super) fn take(&mut self, listens: Listens) -> Option<TcpListener> {
        let mut sockets = self.sockets.iter();
        let at = sockets.position(|handed| handed.listens == listens)?;
        Some(self.sockets.remove(at).socket)
    }

    /// Tells the process before this one that it is not needed any more. Sockets that nobody took end here.
    pub(super) fn ready(mut self) -> io::Result<()> {
        self.channel.write_all(READY)
    }
}

/// One message: a line of text for each socket and an empty one, the sockets beside it.
fn send(channel: &UnixStream, sockets: &[Handed]) -> anyhow::Result<()> {
    ensure!(
        sockets.len() <= MOST,
        "more than {MOST} listeners cannot be handed on"
    );
    let lines = sockets.iter().map(|handed| handed.listens.line());
    let text = lines.chain(["\n".to_owned()]).collect::<String>();
    let fds: Vec<_> = sockets.iter().map(|handed| handed.socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    ensure!(
        beside.push(SendAncillaryMessage::ScmRights(&fds)),
        "the sockets have no room in a message"
    );
    let length = sendmsg(
        channel,
        &[IoSlice::new(text.as_bytes())],
        &mut beside,
        SendFlags::empty(),
    )?;
    ensure!(length == text.len(), "the message was cut off");
    Ok(())
}

fn receive(channel: &UnixStream) -> anyhow::Result<Vec<Handed>> {
    channel.set_read_timeout(Some(PATIENCE))?;
    let mut text = vec![0; MOST * LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        channel,
        &mut [IoSliceMut::new(&mut text)],
        &mut beside,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let sockets = beside.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let sockets: Vec<_> = sockets.map(TcpListener::from).collect();
    text.truncate(received.bytes);
    let text = String::from_utf8(text)?;
    let Some(text) = text.strip_suffix('\n') else {
        bail!("nothing was handed on");
    };
    let listens: Vec<_> = text.lines().map(Listens::of).collect::<Result<_, _>>()?;
    ensure!(
        listens.len() == sockets.len(),
        "of some addresses there is no socket"
    );
    let pairs = listens.into_iter().zip(sockets);
    Ok(pairs
        .map(|(listens, socket)| Handed { listens, socket })
        .collect())
}

impl Listens {
    fn line(self) -> String {
        match self {
            Self::Gate(address) => format!("gate {address}\n"),
            Self::Admin(address) => format!("admin {address}\n"),
        }
    }

    fn of(line: &str) -> anyhow::Result<Self> {
        match line.split_once(' ') {
            Some(("gate", address)) => Ok(Self::Gate(address.parse()?)),
            Some(("admin", address)) => Ok(Self::Admin(address.parse()?)),
            _ => bail!("what was handed on has another form; the versions are too far apart"),
        }
    }
}

/// Says which process is the service from now on, where systemd runs this one (`sd_notify(3)`).
fn tell_systemd(pid: u32) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = notify(&path, &format!("MAINPID={pid}")) {
        tracing::warn!(%error, "systemd cannot be told of the new process");
    }
}

fn notify(path: &OsStr, message: &str) -> io::Result<()> {
    use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(message.as_bytes(), &address)
        .map(|_| ())
}

/// Of the command line; only a process that upgrades says it.
const OPTION: &str = "--upgrade";
const READY: &[u8; 6] = b"ready\n";
/// For a successor to be ready, which may have to look for keys and servers first.
const PATIENCE: Duration = Duration::from_mins(1);
/// As many as one message takes (`SCM_MAX_FD`, unix(7)), less a few.
const MOST: usize = 250;
/// Octets of an address as text, with what stands between two.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn handed(listens: fn(SocketAddr) -> Listens) -> Handed {
        Handed {
            listens: listens(([127, 0, 0, 1], 0).into()),
            socket: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    #[test]
    fn sockets_are_handed_on_with_their_addresses() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let sent = [Listens::Gate, Listens::Gate, Listens::Admin].map(handed);
        send(&ours, &sent).unwrap();
        let mut inherited = Inherited {
            sockets: receive(&theirs).unwrap(),
            channel: theirs,
        };
        // Those of one name are told apart by their order.
        for before in &sent {
            let socket = inherited.take(before.listens).unwrap();
            let is_at = |socket: &TcpListener| socket.local_addr().unwrap();
            assert_eq!(is_at(&socket), is_at(&before.socket));
        }
        assert!(inherited.take(sent[0].listens).is_none());
        inherited.ready().unwrap();
        let mut said = [0; READY.len()];
        (&ours).read_exact(&mut said).unwrap();
        assert_eq!(said, *READY);
    }

    #[test]
    fn who_was_handed_nothing_is_told_so() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        let error = receive(&theirs).unwrap_err();
        assert_eq!(error.to_string(), "nothing was handed on");
    }
}
