//! A directory as people and tools really change it: what is seen counts once it holds still, and what is not seen is
//! never taken for absent.

mod bed;
mod claims;
mod secrets;
mod toy;
mod trees;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use trueup_seams::{Absence, Nudge, Snapshot, Source};
use trueup_source::{DirectorySource, FILE_BYTES_MAX, Reader, Resolved, SourceConfig, read_once};
use trueup_types::desired::Doubt;

use bed::{Bed, DEADLINE, NEVER, SETTLE, command, conditions, runs, told, write};
use toy::name;

#[tokio::test]
async fn an_edit_by_writing_or_renaming_is_seen_by_its_event() {
    let bed =
        Bed::new(&[("web.yaml", "app web v1"), ("deep/er/api.yml", "app api v1"), ("notes.md", "nonsense")]).await;
    let now = bed.source.snapshot();
    assert!(runs(&now, "web", "v1") && runs(&now, "api", "v1"));
    assert!(now.faults.is_empty() && now.doubt.is_none() && now.unread.is_none(), "{:?}", told(&now));
    assert!(now.targets.contains_key("local"));
    bed.nudges.lock().expect("nobody panics").clear();

    bed.write("web.yaml", "app web v2");
    bed.until("a truncating write", |now| runs(now, "web", "v2")).await;
    assert_eq!(*bed.nudges.lock().expect("nobody panics"), [Nudge::App(name("web"))]);

    bed.write("web.tmp", "app web v3");
    std::fs::rename(bed.root.join("web.tmp"), bed.root.join("web.yaml")).expect("renames");
    bed.until("a rename", |now| runs(now, "web", "v3")).await;

    bed.write("deep/er/api.yml", "app api v2");
    bed.until("an edit in a folder", |now| runs(now, "api", "v2")).await;

    bed.write("new/folder/late.yaml", "app late v1");
    bed.until("a new folder", |now| runs(now, "late", "v1")).await;
    bed.write("new/folder/late.yaml", "app late v2");
    bed.until("an edit in the new folder", |now| runs(now, "late", "v2")).await;
}

#[tokio::test]
async fn hidden_files_are_not_read() {
    let files = [
        ("web.yaml", "app web v1"),
        (".git/x.yaml", "nonsense"),
        (".swp.yaml", "nonsense"),
        ("..old/y.yaml", "nonsense"),
    ];
    let bed = Bed::new(&files).await;
    assert!(bed.source.snapshot().faults.is_empty());
}

#[tokio::test]
async fn a_swapped_data_link_is_seen_as_a_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("manifests");
    write(&root, "..1/web.yaml", "app web v1");
    write(&root, "..1/api.yaml", "app api v1");
    let link = |target: &str, path: PathBuf| std::os::unix::fs::symlink(target, path);
    link("..1", root.join("..data")).expect("links");
    link("..data/web.yaml", root.join("web.yaml")).expect("links");
    link("..data/api.yaml", root.join("api.yaml")).expect("links");
    let bed = Bed::on(dir, root, NEVER);
    bed.until("the first", |now| runs(now, "web", "v1") && runs(now, "api", "v1")).await;
    let torn = Arc::new(AtomicUsize::new(0));
    for version in ["v2", "v3", "v4"] {
        bed.write(&format!("..{version}/web.yaml"), &format!("app web {version}"));
        bed.write(&format!("..{version}/api.yaml"), &format!("app api {version}"));
        link(&format!("..{version}"), bed.root.join("..next")).expect("links");
        std::fs::rename(bed.root.join("..next"), bed.root.join("..data")).expect("swaps");
        bed.until("the swap", |now| {
            torn.fetch_add(usize::from(command(now, "web") != command(now, "api")), Ordering::SeqCst);
            runs(now, "web", version)
        })
        .await;
    }
    assert_eq!(torn.load(Ordering::SeqCst), 0, "no snapshot mixes two versions");
}

#[tokio::test]
async fn a_flipped_worktree_is_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "one/web.yaml", "app web v1");
    write(dir.path(), "two/web.yaml", "app web v2");
    let root = dir.path().join("manifests");
    std::os::unix::fs::symlink("one", &root).expect("links");
    let bed = Bed::on(dir, root, NEVER);
    bed.until("the first", |now| runs(now, "web", "v1")).await;
    std::os::unix::fs::symlink("two", bed.root.with_extension("next")).expect("links");
    std::fs::rename(bed.root.with_extension("next"), &bed.root).expect("flips");
    bed.until("the flip", |now| runs(now, "web", "v2")).await;
    bed.write("web.yaml", "app web v3");
    bed.until("an edit behind the flip", |now| runs(now, "web", "v3")).await;
}

#[tokio::test]
async fn a_burst_of_a_thousand_files_is_read_a_few_times() {
    let bed = Bed::new(&[("web.yaml", "app web v1")]).await;
    let before = bed.reader.calls.load(Ordering::SeqCst);
    for number in 0..1_000 {
        bed.write(&format!("folder-{}/app-{number}.yaml", number % 10), &format!("app app-{number} v1"));
    }
    bed.until("all of them", |now| now.apps.len() == 1_001).await;
    let calls = bed.reader.calls.load(Ordering::SeqCst) - before;
    assert!(calls < 50, "{calls} readings");
}

#[tokio::test]
async fn a_deletion_is_confirmed_by_a_second_scan_that_follows_soon() {
    let bed = Bed::new(&[("web.yaml", "app web v1"), ("api.yaml", "app api v1")]).await;
    bed.remove("web.yaml");
    let web = name("web");
    let gone =
        bed.until("it is gone", |now| !now.apps.contains_key(&web) && now.absence(&web) == Absence::Confirmed).await;
    bed.until("somebody is woken for it", |_| bed.absences("web").contains(&Absence::Confirmed)).await;
    assert_eq!(bed.absences("web"), [Absence::Unconfirmed, Absence::Confirmed]);
    assert!(runs(&gone, "api", "v1"));
    bed.write("web.yaml", "app web v2");
    let back = bed.until("it is back", |now| runs(now, "web", "v2")).await;
    assert!(back.vanished.is_empty());
}

#[tokio::test]
async fn a_broken_file_keeps_its_last_good_version_and_stops_no_other() {
    let bed = Bed::new(&[("web.yaml", "app web v1"), ("api.yaml", "app api v1")]).await;
    bed.write("web.yaml", "app web v2\nnonsense");
    bed.write("api.yaml", "app api v2");
    let now = bed.until("both are seen", |now| runs(now, "api", "v2") && !now.faults.is_empty()).await;
    assert!(runs(&now, "web", "v1"));
    assert_eq!(now.apps["web"].error.as_deref(), Some("`nonsense` is nothing"));
    assert_eq!(now.faults[0].file, "web.yaml");
    assert_eq!(now.faults[0].errors, ["`nonsense` is nothing\nsecond line"]);
    assert_eq!(now.unread, None, "what it holds is known");
    bed.write("web.yaml", "app web v3");
    let now = bed.until("it is mended", |now| runs(now, "web", "v3")).await;
    assert!(now.faults.is_empty() && now.apps["web"].error.is_none());
}

#[tokio::test]
async fn a_broken_profile_breaks_its_own_file_only() {
    let bed = Bed::new(&[("profiles.yaml", "profile fast"), ("web.yaml", "app web v1\nuses fast")]).await;
    bed.write("profiles.yaml", "profile faster\nnonsense");
    bed.write("web.yaml", "app web v2\nuses fast");
    let now = bed.until("both are seen", |now| runs(now, "web", "v2")).await;
    assert_eq!(now.faults.iter().map(|fault| fault.file.as_str()).collect::<Vec<_>>(), ["profiles.yaml"]);
    assert_eq!(now.apps["web"].error, None);
    // Gone for good, it takes its users to their last good versions.
    bed.remove("profiles.yaml");
    bed.write("web.yaml", "app web v3\nuses fast");
    let now = bed.until("the profile is missed", |now| now.apps["web"].error.is_some()).await;
    assert!(runs(&now, "web", "v2"));
    assert_eq!(now.unread, None);
}

#[tokio::test]
async fn a_file_that_never_parsed_freezes_pruning() {
    let bed =
        Bed::new(&[("web.yaml", "app web v1"), ("api.yaml", "app api v1"), ("odd.yaml", "app odd v1\nnonsense")]).await;
    bed.remove("api.yaml");
    let api = name("api");
    let now = bed.until("api is missed", |now| !now.apps.contains_key(&api)).await;
    assert!(matches!(now.absence(&api), Absence::InDoubt(Doubt::ManifestInvalid(_))));
    assert!(!now.apps.contains_key("odd"));
    // Mended, two scans that see everything must miss it.
    bed.write("odd.yaml", "app odd v1");
    bed.until("odd is there", |now| runs(now, "odd", "v1")).await;
    bed.until("api is gone", |now| now.absence(&api) == Absence::Confirmed).await;
    bed.until("somebody is woken for it", |_| bed.absences("api").contains(&Absence::Confirmed)).await;
    let absences = bed.absences("api");
    let doubted = absences.iter().take_while(|absence| matches!(absence, Absence::InDoubt(_))).count();
    assert_eq!(absences[doubted..], [Absence::Unconfirmed, Absence::Confirmed]);
}

#[tokio::test]
async fn an_app_that_moves_into_a_broken_file_stays_as_it_was() {
    let bed = Bed::new(&[("web.yaml", "app web v1"), ("api.yaml", "app api v1")]).await;
    bed.write("new.yaml", "app web v2\nnonsense");
    bed.remove("web.yaml");
    let now = bed.until("the new file is seen", |now| now.faults.iter().any(|fault| fault.file == "new.yaml")).await;
    let now = if now.apps["web"].error.is_some() {
        now
    } else {
        bed.until("it moved", |now| now.apps["web"].error.is_some()).await
    };
    assert!(runs(&now, "web", "v1"));
}

#[tokio::test]
async fn a_root_that_is_emptied_missing_or_unreadable_deletes_nothing() {
    let bed = Bed::new(&[("web.yaml", "app web v1"), ("api.yaml", "app api v1")]).await;
    let frozen = |now: &Snapshot| {
        now.apps.len() == 2
            && matches!(now.doubt, Some(Doubt::SourceUnavailable(_)))
            && conditions(now) == ["SourceUnavailable"]
    };
    let aside = bed.root.with_extension("aside");
    std::fs::rename(&bed.root, &aside).expect("renames");
    bed.until("it is missing", |now| {
        frozen(now) && now.doubt.as_ref().is_some_and(|why| why.to_string().contains("missing"))
    })
    .await;

    std::fs::create_dir(&bed.root).expect("makes");
    bed.until("it is empty", |now| {
        frozen(now) && now.doubt.as_ref().is_some_and(|why| why.to_string().contains("no manifest"))
    })
    .await;

    std::fs::remove_dir(&bed.root).expect("removes");
    std::fs::write(&bed.root, "a file").expect("writes");
    bed.until("it is a file", |now| {
        frozen(now) && now.doubt.as_ref().is_some_and(|why| why.to_string().contains("not a directory"))
    })
    .await;

    std::fs::remove_file(&bed.root).expect("removes");
    std::fs::rename(&aside, &bed.root).expect("renames");
    let now = bed.until("it is back", |now| now.doubt.is_none()).await;
    assert!(now.apps.len() == 2 && now.vanished.is_empty() && now.conditions.is_empty(), "{:?}", told(&now));
    bed.write("web.yaml", "app web v2");
    bed.until("it is watched again", |now| runs(now, "web", "v2")).await;
}

#[tokio::test]
async fn an_empty_root_at_the_start_tells_nothing_of_what_the_store_knows() {
    let bed = Bed::new(&[]).await;
    assert!(matches!(bed.source.snapshot().absence(&name("web")), Absence::InDoubt(_)));
    bed.write("api.yaml", "app api v1");
    bed.until("two scans saw it", |now| now.absence(&name("web")) == Absence::Confirmed).await;
}

#[tokio::test]
async fn without_any_event_a_rescan_finds_the_change() {
    // A hard link outside of the root: no folder that is watched sees the write.
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("manifests");
    write(&root, "web.yaml", "app web v1");
    let outside = dir.path().join("elsewhere");
    std::fs::create_dir(&outside).expect("makes");
    std::fs::hard_link(root.join("web.yaml"), outside.join("same")).expect("links");
    let bed = Bed::on(dir, root, Duration::from_millis(100));
    bed.until("the first", |now| runs(now, "web", "v1") && now.scans >= 2).await;
    std::fs::write(outside.join("same"), "app web v2").expect("writes");
    bed.until("a rescan", |now| runs(now, "web", "v2")).await;
}

#[tokio::test]
async fn an_idle_directory_is_not_read_again() {
    let bed = Bed::new(&[("web.yaml", "app web v1")]).await;
    let calls = bed.reader.calls.load(Ordering::SeqCst);
    let nudges = bed.nudges.lock().expect("nobody panics").len();
    bed.scans(5).await;
    assert_eq!(bed.reader.calls.load(Ordering::SeqCst), calls, "nothing changed");
    assert_eq!(bed.nudges.lock().expect("nobody panics").len(), nudges, "nobody is woken");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_a_fault_of_its_own() {
    let bed = Bed::new(&[("web.yaml", "app web v1"), ("big.yaml", "app big v1"), ("link.yaml", "app link v1")]).await;
    let large = usize::try_from(FILE_BYTES_MAX).expect("fits") + 1;
    bed.write("big.yaml", &"#".repeat(large));
    bed.remove("link.yaml");
    std::os::unix::fs::symlink("nowhere", bed.root.join("link.yaml")).expect("links");
    let now = bed.until("both are seen", |now| now.faults.len() == 2).await;
    let faults: Vec<_> = now.faults.iter().map(|fault| (fault.file.as_str(), fault.errors[0].as_str())).collect();
    assert_eq!(faults[0], ("big.yaml", "larger than 1024 KiB"));
    assert_eq!(faults[1].0, "link.yaml");
    assert!(runs(&now, "big", "v1") && runs(&now, "link", "v1"), "{:?}", told(&now));
    assert_eq!(now.apps["big"].error.as_deref(), Some("larger than 1024 KiB"));
}

#[tokio::test]
async fn a_file_that_never_holds_still_stops_no_other() {
    let bed = Bed::new(&[("web.yaml", "app web v1"), ("api.yaml", "app api v1")]).await;
    let root = bed.root.clone();
    let stop = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::clone(&stop);
    let restless = tokio::spawn(async move {
        let mut number = 0;
        while stopped.load(Ordering::SeqCst) == 0 {
            number += 1;
            write(&root, "web.yaml", &format!("app web restless-{number}"));
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    bed.write("api.yaml", "app api v2");
    bed.write("late.yaml", "app late v1");
    let now = bed.until("the others count", |now| runs(now, "api", "v2") && runs(now, "late", "v1")).await;
    assert!(now.apps.contains_key("web"));
    stop.store(1, Ordering::SeqCst);
    restless.await.expect("ends");
    bed.write("web.yaml", "app web still");
    bed.until("it holds still", |now| runs(now, "web", "still")).await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "CI must not leave it out")]
async fn another_device_in_its_place_deletes_nothing() {
    let mount = |verb: &str, args: &[&str], root: &Path| {
        let done = std::process::Command::new(verb).args(args).arg(root).output();
        done.is_ok_and(|output| output.status.success())
    };
    let bed = Bed::start(&[("web.yaml", "app web v1"), ("api.yaml", "app api v1")], Duration::from_millis(100));
    bed.until("the first", |now| now.scans >= 2).await;
    if !mount("mount", &["-t", "tmpfs", "tmpfs"], &bed.root) {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must be able to mount a tmpfs");
        eprintln!("LEFT OUT: a tmpfs cannot be mounted here, so another device was not tried");
        return;
    }
    bed.write("web.yaml", "app web theirs");
    let other = |now: &Snapshot| now.doubt.as_ref().is_some_and(|why| why.to_string().contains("another device"));
    let seen = tokio::time::timeout(DEADLINE, async {
        while !other(&bed.source.snapshot()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let seen = seen.await;
    let now = bed.source.snapshot();
    assert!(mount("umount", &["-l"], &bed.root));
    assert!(seen.is_ok() && now.apps.len() == 2 && runs(&now, "web", "v1"), "{:?}", told(&now));
    let now = bed.until("it is back", |now| now.doubt.is_none()).await;
    assert!(now.vanished.is_empty() && now.apps.len() == 2);
}

#[test]
fn a_directory_is_read_once_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "web.yaml", "app web v1");
    write(dir.path(), "deep/api.yml", "app api v1");
    write(dir.path(), "notes.md", "nonsense");
    let texts = read_once(dir.path()).expect("reads");
    assert_eq!(texts.keys().collect::<Vec<_>>(), ["deep/api.yml", "web.yaml"]);
    let one = read_once(&dir.path().join("notes.md")).expect("a file that is named is read");
    assert_eq!(one["notes.md"].as_ref(), "nonsense");
    std::fs::write(dir.path().join("bad.yaml"), [0xff, 0xfe]).expect("writes");
    assert!(read_once(dir.path()).expect_err("part of it is not the whole").contains("bad.yaml: not UTF-8"));
    assert!(read_once(&dir.path().join("nowhere")).expect_err("nothing there").contains("is missing"));
}

#[tokio::test]
async fn a_reader_that_panics_is_said_and_freezes_everything() {
    struct Bad;
    impl Reader for Bad {
        fn resolve(&self, _: &BTreeMap<String, Arc<str>>) -> Resolved {
            panic!("a bug in a reader")
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "web.yaml", "app web v1");
    let config = SourceConfig { root: dir.path().to_owned(), settle: SETTLE, rescan: NEVER };
    let source = DirectorySource::start(config, Arc::new(Bad), Arc::new(trueup_seams::NoSecrets));
    let said = async {
        while source.snapshot().doubt.is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, said).await.expect("it is said");
    assert_eq!(conditions(&source.snapshot()), ["SourceUnavailable"]);
}
