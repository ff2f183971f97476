//! Whether an MP4 can be played while it is still being loaded.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// The most boxes of the outermost level that are looked at; ffmpeg writes four.
const BOXES_MAX: usize = 64;

/// The length of a box's head, in bytes, and of one with a 64-bit size.
const HEAD_BYTES: (u64, u64) = (8, 16);

/// Whether the index (`moov`) stands before the media (`mdat`).
///
/// # Errors
/// When the file can't be read.
///
/// # Source
/// ISO/IEC 14496-12, "Object-structured File Organization": a 32-bit size, a type; size 1 means a 64-bit size follows, 0
/// means to the file's end.
pub fn is_faststart(file: &Path) -> io::Result<bool> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    let mut at = 0;
    for _ in 0..BOXES_MAX {
        if at + HEAD_BYTES.0 > length {
            break;
        }
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0_u8; 8];
        file.read_exact(&mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        match &kind {
            b"moov" => return Ok(true),
            b"mdat" => return Ok(false),
            _ => {}
        }
        let size = match u32::from_be_bytes([a, b, c, d]) {
            0 => break,
            1 => {
                let mut long = [0_u8; 8];
                file.read_exact(&mut long)?;
                u64::from_be_bytes(long).max(HEAD_BYTES.1)
            }
            size => u64::from(size).max(HEAD_BYTES.0),
        };
        at = at.saturating_add(size);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(kinds: &[(&str, u32)]) -> Vec<u8> {
        let one = |(kind, size): &(&str, u32)| {
            let body = vec![0; (*size).saturating_sub(8) as usize];
            [&size.to_be_bytes()[..], kind.as_bytes(), &body].concat()
        };
        kinds.iter().flat_map(one).collect()
    }

    #[test]
    fn the_index_must_come_before_the_media() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("x.mp4");
        for (kinds, faststart) in [
            (&[("ftyp", 32), ("moov", 100), ("mdat", 8)][..], true),
            (&[("ftyp", 32), ("mdat", 100), ("moov", 8)][..], false),
            (&[("ftyp", 32), ("free", 0), ("moov", 8)][..], false),
            (&[("ftyp", 3)][..], false),
            (&[][..], false),
        ] {
            std::fs::write(&file, boxes(kinds))?;
            assert_eq!(is_faststart(&file)?, faststart, "{kinds:?}");
        }
        let long = [&1_u32.to_be_bytes()[..], b"free", &20_u64.to_be_bytes(), &[0; 4], &boxes(&[("moov", 8)])].concat();
        std::fs::write(&file, long)?;
        assert!(is_faststart(&file)?);
        Ok(())
    }
}
