//! Where the spool is: volumes of somebody else's, memory, and a limit of open files that is too low.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{
    Lacks,
    cardhook::{Setup, run},
    skip,
    wechat::{Account, Mode, fixture},
};

const LIMIT: Duration = Duration::from_mins(1);
const USER: u32 = 61_000;
const GROUP: u32 = 62_000;

/// A volume as the kubelet makes it with `fsGroup`: root's, and the group may write. `None` where this user cannot make one.
fn group_volume() -> Option<TempDir> {
    if !rustix::process::geteuid().is_root() {
        skip(Lacks::OfTheMachine("a volume of somebody else's needs root"));
        return None;
    }
    let volume = tempfile::tempdir().unwrap();
    chown(volume.path(), Some(0), Some(GROUP)).unwrap();
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o2775)).unwrap();
    Some(volume)
}

/// A service whose spool is there, with a configuration and a binary that every user may read.
fn with_spool(path: &Path) -> Setup {
    let mut setup = Setup::without_brokers().reset("spool", &format!("path = {:?}", path.display().to_string()));
    let everybody = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    everybody(setup.folder());
    // The checkout's folders may be closed to others.
    let binary: PathBuf = setup.folder().join("cardhook");
    fs::copy(&setup.binary, &binary).unwrap();
    everybody(&binary);
    setup.binary = binary;
    setup
}

fn serve_to_its_end(setup: &Setup, user: u32) -> Output {
    let config = setup.write();
    let mut command = Command::new(&setup.binary);
    command.env_clear().uid(user).gid(GROUP).args(["serve", "--config"]).arg(config).stdin(Stdio::null());
    command.output().unwrap()
}

fn as_the_user(command: &mut Command) {
    command.uid(USER).gid(GROUP);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn in_a_volume_of_somebody_elses_the_spool_has_a_folder_of_its_own() {
    let Some(volume) = group_volume() else { return };
    let setup = with_spool(volume.path());
    let serve = || setup.serve_with(as_the_user);
    let service = serve();
    service.wait_ready();
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    assert_eq!(mode(volume.path()), 0o2775, "the volume keeps its mode");
    // The kernel hands the volume's set-group-id bit down.
    assert_eq!(mode(&volume.path().join("cardhook")) & 0o777, 0o700);
    assert!(service.stop(LIMIT).success());

    let again = serve();
    again.wait_ready();
    assert_eq!(again.metric("cardhook_spool_records", ""), 1, "the same spool");
    let config = setup.write().display().to_string();
    let listed = run(&["spool", "ls", "--config", &config]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("events            1"), "{listed:?}");
}

#[test]
fn a_spool_of_another_user_is_refused_with_the_reason_told_once() {
    let Some(volume) = group_volume() else { return };
    let setup = with_spool(volume.path());
    let service = setup.serve_with(as_the_user);
    assert!(service.stop(LIMIT).success());
    let refused = serve_to_its_end(&setup, USER + 1);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&volume.path().join("cardhook").display().to_string()), "{said}");
    assert_eq!(said.matches("Permission denied").count(), 1, "{said}");
}

#[test]
fn a_spool_directly_in_a_folder_that_has_another_owner_now_is_found() {
    let Some(volume) = group_volume() else { return };
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let setup = with_spool(volume.path());
    let service = setup.serve();
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    assert!(service.stop(LIMIT).success());
    chown(volume.path(), Some(USER), Some(GROUP)).unwrap();
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let again = setup.serve();
    assert_eq!(again.metric("cardhook_spool_records", ""), 1);
    assert!(!volume.path().join("cardhook").exists());
    assert_eq!(mode(volume.path()), 0o755);
}

#[test]
fn a_spool_path_that_cannot_be_used_is_told_with_its_cause_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let setup = with_spool(&file.join("spool"));
    let output = run(&["serve", "--config", &setup.write().display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("Not a directory").count(), 1, "{said}");
}

#[test]
fn a_spool_in_memory_is_warned_of_unless_nothing_waits_in_it() {
    const WARNING: &str = "spool.path does not outlive a restart";
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let service = with_spool(memory.path()).serve();
    service.wait_says(WARNING);
    service.wait_says("tmpfs");
    drop(service);
    let setup = with_spool(memory.path())
        .reset("kafka", "brokers = [\"127.0.0.1:1\"]")
        .set("delivery", "answer_after = \"kafka_only\"");
    let service = setup.serve_unready();
    assert!(!service.log().contains(WARNING), "{}", service.log());
}

#[test]
fn too_few_open_files_are_refused_at_the_start_with_the_limit_and_the_need() {
    let setup = Setup::without_brokers();
    let config = setup.write();
    let output = Command::new("prlimit")
        .args(["--nofile=32:32", "--"])
        .arg(&setup.binary)
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("may have 32 files open") && said.contains("needs 128"), "{said}");
}

#[test]
fn another_users_spool_is_told_from_none() {
    let Some(volume) = group_volume() else { return };
    let spool = volume.path().join("spool");
    let setup = with_spool(&spool);
    drop(setup.serve());
    let looked = |path: &Path| {
        let mut command = Command::new(&setup.binary);
        command.env_clear().args(["spool", "ls", "--path"]).arg(path);
        as_the_user(&mut command);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let said = looked(&spool);
    assert!(said.contains("Permission denied") && said.contains("as the service's user"), "{said}");
    let said = looked(&volume.path().join("elsewhere"));
    assert!(said.contains("there is no spool in"), "{said}");
}
