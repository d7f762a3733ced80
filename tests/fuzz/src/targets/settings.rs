//! Settings files: read whole or refused with every problem in its place, in bounded time, and no secret in what is shown.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use settings::{Handling, Problems, Settings};

pub(super) fn run(data: &[u8]) {
    let file = FOLDER.with(|folder| folder.path().join("portcullis.yaml"));
    fs::write(&file, data).unwrap();
    let begun = Instant::now();
    let found = settings::load(&file);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "it takes too long"
    );
    let again = settings::load(&file);
    match (&found, &again) {
        (Ok(settings), Ok(_)) => check(settings),
        (Err(problems), Err(others)) => {
            assert_eq!(problems, others, "the same problems each time");
            check_problems(problems, data);
        }
        _ => panic!("not the same each time"),
    }
    let shown = match &found {
        Ok(settings) => format!("{settings:?}"),
        Err(problems) => format!("{problems} {problems:?}"),
    };
    assert!(
        !shown.contains(SECRET) && !shown.contains(KEY),
        "a secret is shown"
    );
}

fn check_problems(problems: &Problems, data: &[u8]) {
    assert!(!problems.list().is_empty(), "refused for nothing");
    let lines = String::from_utf8_lossy(data)
        .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .count();
    for problem in problems.list() {
        assert!(!problem.message.is_empty(), "{problem:?}");
        if let Some(line) = problem.line {
            assert!((1..=lines as u64 + 1).contains(&line), "{problem:?}");
        }
    }
}

fn check(settings: &Settings) {
    assert!(!settings.listeners.is_empty());
    assert!(settings.file.is_absolute() && settings.data.is_absolute());
    assert!(settings.files.iter().all(|file| file.is_absolute()));
    let routes = settings.routes.iter();
    let routes = routes.map(|route| (route.name.clone(), route.matches.clone(), ()));
    let table = route::Table::build(routes.collect());
    assert!(table.is_ok(), "{table:?}");
    let pools = settings
        .routes
        .iter()
        .filter(|route| matches!(route.handling, Handling::Pools));
    assert!(
        pools.count() == 0 || settings.pools.is_some(),
        "pools are served that are not there"
    );
    for (_, config) in &settings.policies {
        assert!(config.path.is_absolute());
    }
}

thread_local! {
    /// What the corpus names is there.
    static FOLDER: tempfile::TempDir = {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pets")).unwrap();
        for (name, content) in [("ops.key", SECRET), ("seal.key", KEY)] {
            let file = folder.path().join(name);
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        folder
    };
}

const SECRET: &str = "never-to-be-seen-in-any-output";

const KEY: &str = "5ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea1";

#[cfg(test)]
mod tests {
    use super::*;

    /// Else nothing would be checked of what is read.
    #[test]
    fn the_corpus_is_read() {
        for data in [
            &include_bytes!("../../corpus/settings/small")[..],
            include_bytes!("../../corpus/settings/whole"),
        ] {
            let file = FOLDER.with(|folder| folder.path().join("portcullis.yaml"));
            fs::write(&file, data).unwrap();
            let found = settings::load(&file);
            assert!(found.is_ok(), "{found:?}");
        }
    }
}
