//! What `portcullis dev` keeps in its folder, written once and then the user's own.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use aws_lc_rs::rand;

use crate::{cli::Dev, serve::Process};

/// The settings.
pub(super) const SETTINGS: &str = "portcullis.yaml";
/// What shells source to reach the engine.
pub(super) const ENVIRONMENT: &str = "dev.env";

/// Writes what is not there, and binds the pet store's socket if the settings still name it.
pub(super) fn prepare(dev: &Dev) -> anyhow::Result<Option<TcpListener>> {
    let policies = dev.data.join("policies/petstore");
    if !policies.exists() {
        fs::create_dir_all(&policies)?;
        for (name, content) in POLICIES {
            fs::write(policies.join(name), content)?;
        }
    }
    write_secret(&dev.data.join("seal.key"), || {
        random_text(64, b"0123456789abcdef")
    })?;
    write_secret(&dev.data.join("operator.secret"), || {
        random_text(40, ALPHANUMERIC)
    })?;
    let settings = dev.data.join(SETTINGS);
    if settings.exists() {
        return store_of(&settings);
    }
    let socket = bind(0)?;
    write_settings(dev, &settings, socket.local_addr()?)?;
    Ok(Some(socket))
}

/// Writes the environment for this start: the keys are the folder's, the URL is where the gate listens now.
pub(super) fn write_environment(data: &Path, process: &Process) -> anyhow::Result<()> {
    let (access_key_id, secret) = process
        .operator()
        .context("the settings name no operator")?;
    let public_url = process.public_url().context("the settings name no pools")?;
    let lines = [
        ("AWS_ENDPOINT_URL", public_url),
        ("AWS_ACCESS_KEY_ID", access_key_id),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("POOL_ID", POOL),
        ("CLIENT_ID", CLIENT),
    ];
    let mut text = format!("{OVERRULED}\n");
    for (name, value) in lines {
        text.extend(["export ", name, "=", value, "\n"]);
    }
    let path = data.join(ENVIRONMENT);
    let fresh = data.join(".dev.env.new");
    // Whoever reads it sees the old one or the new one, whole.
    write_private(&fresh, &text)?;
    fs::rename(&fresh, &path).with_context(|| format!("cannot write `{}`", path.display()))
}

fn write_settings(dev: &Dev, path: &Path, store: SocketAddr) -> anyhow::Result<()> {
    let listen = dev.listen.unwrap_or(LISTEN);
    let access_key_id = format!(
        "AKIA{}",
        random_text(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")?
    );
    let text = include_str!("settings.yaml")
        .replace("@LISTEN@", &listen.to_string())
        .replace("@ADMIN@", &dev.admin.unwrap_or(ADMIN).to_string())
        .replace("@STORE@", &store.to_string())
        .replace("@ACCESS_KEY_ID@", &access_key_id)
        .replace("@POOL@", POOL)
        .replace("@CLIENT@", CLIENT);
    fs::write(path, text)?;
    Ok(())
}

/// The pet store's socket, on the port that the settings have; where that is taken, on another, which goes into them.
fn store_of(settings: &Path) -> anyhow::Result<Option<TcpListener>> {
    let text = fs::read_to_string(settings)?;
    let Some((line, port)) = text.lines().find_map(|line| Some((line, port_of(line)?))) else {
        return Ok(None);
    };
    if let Ok(socket) = bind(port) {
        return Ok(Some(socket));
    }
    let socket = bind(0)?;
    let address = socket.local_addr()?;
    let fresh = line.replace(&format!("127.0.0.1:{port}"), &address.to_string());
    fs::write(settings, text.replace(line, &fresh))?;
    Ok(Some(socket))
}

/// The port in the line that names the pet store.
fn port_of(line: &str) -> Option<u16> {
    let (value, _) = line.split_once(STORE_MARK)?;
    let (_, rest) = value.split_once("http://127.0.0.1:")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn bind(port: u16) -> io::Result<TcpListener> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn write_secret(path: &Path, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    write_private(path, &(make()? + "\n"))
}

/// A file that only its owner can read, from its first byte on.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

/// Random characters of an alphabet, each as likely as any other.
fn random_text(length: usize, alphabet: &[u8]) -> anyhow::Result<String> {
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut byte = [0];
        rand::fill(&mut byte).map_err(|_| anyhow::anyhow!("no randomness"))?;
        let [byte] = byte.map(usize::from);
        if let Some(letter) = alphabet.get(byte % alphabet.len()).filter(|_| byte < fair) {
            text.push(char::from(*letter));
        }
    }
    Ok(text)
}

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
/// What a shell that works with AWS has set, and SDKs would send with these keys, or read in their place.
const OVERRULED: &str =
    "unset AWS_SESSION_TOKEN AWS_SECURITY_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE";
const REGION: &str = "us-east-1";
const POOL: &str = "us-east-1_PetStore1";
const CLIENT: &str = "petstoreweb";
/// Ends the line of the settings that names the pet store.
const STORE_MARK: &str = "# the pet store of `portcullis dev`";
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The repository's own example, within the binary.
const POLICIES: &[(&str, &str)] = &[
    (
        "owners.cedar",
        include_str!("../../../../policies/petstore/owners.cedar"),
    ),
    (
        "petstore.cedarschema",
        include_str!("../../../../policies/petstore/petstore.cedarschema"),
    ),
    (
        "readers.cedar",
        include_str!("../../../../policies/petstore/readers.cedar"),
    ),
    (
        "tests.yaml",
        include_str!("../../../../policies/petstore/tests.yaml"),
    ),
    (
        "writers.cedar",
        include_str!("../../../../policies/petstore/writers.cedar"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn dev(data: &Path) -> Dev {
        Dev {
            data: data.to_owned(),
            listen: None,
            admin: None,
            issuer: None,
        }
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dev = dev(dir.path());
        let first = prepare(&dev).unwrap().unwrap().local_addr().unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let before = [SETTINGS, "seal.key", "operator.secret"].map(read);
        let again = prepare(&dev).unwrap().unwrap().local_addr().unwrap();
        assert_eq!(first, again);
        assert_eq!([SETTINGS, "seal.key", "operator.secret"].map(read), before);
        assert_eq!(before[1].trim().len(), 64);
    }

    #[test]
    fn a_taken_port_is_replaced_in_its_line_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dev = dev(dir.path());
        let taken = prepare(&dev).unwrap().unwrap();
        let path = dir.path().join(SETTINGS);
        let before = fs::read_to_string(&path).unwrap();
        let other = prepare(&dev).unwrap().unwrap();
        let after = fs::read_to_string(&path).unwrap();
        let address = |socket: &TcpListener| socket.local_addr().unwrap().to_string();
        assert_ne!(address(&taken), address(&other));
        assert_eq!(before.replace(&address(&taken), &address(&other)), after);
    }

    #[test]
    fn without_its_mark_there_is_no_pet_store() {
        let dir = tempfile::tempdir().unwrap();
        let dev = dev(dir.path());
        prepare(&dev).unwrap();
        let path = dir.path().join(SETTINGS);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(STORE_MARK, "")).unwrap();
        assert!(prepare(&dev).unwrap().is_none());
    }

    #[test]
    fn secrets_are_their_owners() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        prepare(&dev(dir.path())).unwrap();
        for name in ["seal.key", "operator.secret"] {
            let mode = fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
