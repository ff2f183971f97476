//! The store of files: a key is written once, and reads back byte by byte.

use anyhow::{Context, Result, ensure};
use qsketch_runtime::ports::Stored;
use qsketch_runtime::{PortErrorKind, Store};
use sha2::{Digest, Sha256};

use crate::gallery::UNICODE;
use crate::{Case, World, cases};

/// Larger than one part of any upload.
const LARGE_BYTES: usize = 9 * 1_024 * 1_024 + 17;

/// The cases of the store.
#[must_use]
pub fn store_cases() -> Vec<Case> {
    cases![
        what_is_not_there_is_nothing,
        bytes_come_back_as_they_were_kept,
        a_file_that_is_too_large_is_not_read,
        an_uploaded_file_comes_back_with_its_hash,
        a_key_is_written_once,
        keys_are_listed_in_their_order_by_prefix_and_bounded,
        keys_of_tasks_and_of_every_alphabet_work,
        a_location_tells_the_key,
        erased_files_are_gone_and_no_others,
    ]
}

fn hex_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of every value, without a period that a buffer could hide.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(step).collect()
}

async fn check(store: &dyn Store, key: &str, bytes: &[u8], content_type: &str) -> Result<Stored> {
    let found = store.get(key, bytes.len() as u64).await?.with_context(|| format!("{key} is not there"))?;
    ensure!(found == bytes, "{key} reads otherwise: {} of {} bytes", found.len(), bytes.len());
    let head = store.head(key).await?.with_context(|| format!("{key} has no head"))?;
    ensure!(head.bytes == bytes.len() as u64, "{key}: {head:?}");
    ensure!(head.content_type.as_deref() == Some(content_type), "{key}: {head:?}");
    ensure!(head.sha256.as_ref().is_none_or(|sha256| *sha256 == hex_of(bytes)), "{key}: {head:?}");
    Ok(head)
}

async fn erased_files_are_gone_and_no_others(world: World) -> Result<()> {
    let (store, prefix) = (&world.ports.store, world.unique());
    let keys: Vec<String> = (0..12).map(|file| format!("jobs/{prefix}/t#{}/1/f{file}.txt", file % 3)).collect();
    let other = format!("jobs/{prefix}0/t/1/f.txt");
    for key in keys.iter().chain([&other]) {
        store.put(key, b"bytes".to_vec(), "text/plain").await?;
    }
    ensure!(world.eraser.erase_files(&format!("jobs/{prefix}/")).await? == 12);
    ensure!(store.list(&format!("jobs/{prefix}/"), 10).await?.is_empty());
    ensure!(store.head(&other).await?.is_some(), "a job whose id begins so is untouched");
    ensure!(world.eraser.erase_files(&format!("jobs/{prefix}/")).await? == 0);
    Ok(())
}

async fn what_is_not_there_is_nothing(world: World) -> Result<()> {
    let (store, prefix, folder) = (&world.ports.store, world.unique(), tempfile::tempdir()?);
    let key = format!("{prefix}/none");
    ensure!(store.get(&key, 100).await?.is_none() && store.head(&key).await?.is_none());
    ensure!(store.download(&key, &folder.path().join("none")).await?.is_none());
    ensure!(store.list(&prefix, 10).await?.is_empty());
    Ok(())
}

async fn bytes_come_back_as_they_were_kept(world: World) -> Result<()> {
    let (store, prefix) = (&world.ports.store, world.unique());
    let text = UNICODE.as_bytes();
    for (name, bytes, content_type) in [
        ("empty", &[][..], "text/plain"),
        ("text", text, "text/plain; charset=utf-8"),
        ("noise", &noise(70_000), "application/octet-stream"),
    ] {
        let key = format!("{prefix}/{name}");
        store.put(&key, bytes.to_vec(), content_type).await?;
        check(&**store, &key, bytes, content_type).await?;
    }
    Ok(())
}

async fn a_file_that_is_too_large_is_not_read(world: World) -> Result<()> {
    let (store, key) = (&world.ports.store, world.unique());
    store.put(&key, noise(1_000), "video/mp4").await?;
    for most in [0, 1, 999] {
        let kind = store.get(&key, most).await.err().map(|error| error.kind);
        ensure!(kind == Some(PortErrorKind::TooLarge), "at most {most}: {kind:?}");
    }
    ensure!(store.get(&key, 1_000).await?.is_some() && store.get(&key, u64::MAX / 2).await?.is_some());
    Ok(())
}

async fn an_uploaded_file_comes_back_with_its_hash(world: World) -> Result<()> {
    let (store, prefix, folder) = (&world.ports.store, world.unique(), tempfile::tempdir()?);
    for bytes in [Vec::new(), noise(10), noise(LARGE_BYTES)] {
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, &bytes)?;
        // What was there before must be gone, its end as well.
        std::fs::write(&to, "x".repeat(100))?;
        let key = format!("{prefix}/{}", bytes.len());
        store.upload(&key, &from, "video/mp4").await?;
        let head = check(&**store, &key, &bytes, "video/mp4").await?;
        ensure!(head.sha256 == Some(hex_of(&bytes)), "{head:?}");
        ensure!(store.download(&key, &to).await? == Some(bytes.len() as u64));
        ensure!(std::fs::read(&to)? == bytes, "{} bytes came otherwise", bytes.len());
    }
    ensure!(store.upload(&prefix, &folder.path().join("none"), "video/mp4").await.is_err(), "there is no such file");
    ensure!(store.head(&prefix).await?.is_none());
    Ok(())
}

async fn a_key_is_written_once(world: World) -> Result<()> {
    let (store, key, folder) = (&world.ports.store, world.unique(), tempfile::tempdir()?);
    let file = folder.path().join("file");
    store.put(&key, b"first".to_vec(), "text/plain").await?;
    store.put(&key, b"first".to_vec(), "text/plain").await.context("the same again is no error")?;
    std::fs::write(&file, "first")?;
    store.upload(&key, &file, "text/plain").await.context("nor is it as a file")?;
    std::fs::write(&file, "other")?;
    let kinds = [
        store.put(&key, b"other".to_vec(), "text/plain").await.err().map(|error| error.kind),
        store.upload(&key, &file, "text/plain").await.err().map(|error| error.kind),
    ];
    ensure!(kinds == [Some(PortErrorKind::Invalid); 2], "{kinds:?}");
    check(&**store, &key, b"first", "text/plain").await?;
    Ok(())
}

async fn keys_are_listed_in_their_order_by_prefix_and_bounded(world: World) -> Result<()> {
    let (store, prefix) = (&world.ports.store, world.unique());
    let mut keys: Vec<_> = (0..7).map(|number| format!("{prefix}/in/{number}")).collect();
    for key in keys.iter().rev().chain([&format!("{prefix}/inside"), &format!("{prefix}/out/0")]) {
        store.put(key, b"x".to_vec(), "text/plain").await?;
    }
    ensure!(store.list(&format!("{prefix}/in/"), 100).await? == keys);
    ensure!(store.list(&prefix, 100).await?.len() == 9);
    keys.truncate(3);
    ensure!(store.list(&format!("{prefix}/in/"), 3).await? == keys);
    Ok(())
}

async fn keys_of_tasks_and_of_every_alphabet_work(world: World) -> Result<()> {
    let (store, prefix) = (&world.ports.store, world.unique());
    for name in ["render-manim#2/1/log.txt", "notify@0/1/out", "a b+c&d=e?f%20g", "数学/e\u{301}/👩‍🔬", "'\"()*!~"]
    {
        let key = format!("{prefix}/{name}");
        store.put(&key, name.as_bytes().to_vec(), "text/plain").await?;
        check(&**store, &key, name.as_bytes(), "text/plain").await?;
        ensure!(store.list(&key, 10).await? == [key]);
    }
    Ok(())
}

async fn a_location_tells_the_key(world: World) -> Result<()> {
    let location = world.ports.store.location("jobs/j/a/1/out.mp4");
    ensure!(location.starts_with("s3://") && location.ends_with("/jobs/j/a/1/out.mp4"), "{location}");
    Ok(())
}
