//! The SHA-256 of local files.

use std::path::Path;

use qsketch_core::digest::Hash;
use tokio::io::AsyncReadExt;

/// How much of a file is read at once, in bytes.
const CHUNK_BYTES: usize = 256 * 1_024;

/// The SHA-256 of a file, as 64 hexadecimal digits.
///
/// # Errors
/// When it can't be read.
pub async fn sha256_of(file: &Path) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(file).await?;
    let (mut hash, mut chunk) = (Hash::default(), vec![0_u8; CHUNK_BYTES]);
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Ok(hash.hex());
        }
        hash.update(&chunk[..read]);
    }
}
