//! Whether a path is what a tool was asked to leave there.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;
use thiserror::Error;

/// Why a path is no file that counts.
#[derive(Debug, Error)]
pub enum NotRegular {
    /// There is nothing.
    #[error("no file was left")]
    Absent,
    /// It is a link, a folder, a pipe or a device.
    #[error("what was left is no regular file")]
    Irregular,
    /// It is empty.
    #[error("the file is empty")]
    Empty,
    /// It is larger than allowed.
    #[error("the file has {bytes} bytes; at most {most} are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What is allowed.
        most: u64,
    },
    /// It can't be opened.
    #[error("the file can't be opened")]
    Unreadable(#[source] io::Error),
}

/// The size of the regular file at `path`, in bytes; a symbolic link is none, wherever it leads.
///
/// # Errors
/// [`NotRegular`].
pub fn regular(path: &Path, most: u64) -> Result<u64, NotRegular> {
    // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(|error| {
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::NotFound, _) => NotRegular::Absent,
            (_, Some(code)) if code == nix::errno::Errno::ELOOP as i32 => NotRegular::Irregular,
            _ => NotRegular::Unreadable(error),
        }
    })?;
    let found = file.metadata().map_err(NotRegular::Unreadable)?;
    match found.len() {
        _ if !found.is_file() => Err(NotRegular::Irregular),
        0 => Err(NotRegular::Empty),
        bytes if bytes > most => Err(NotRegular::TooLarge { bytes, most }),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_the_allowed_size_counts() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("good"), "1234")?;
        std::fs::write(at("empty"), "")?;
        std::os::unix::fs::symlink(at("good"), at("link"))?;
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU)?;
        assert!(matches!(regular(&at("good"), 4), Ok(4)));
        assert!(matches!(regular(&at("good"), 3), Err(NotRegular::TooLarge { bytes: 4, most: 3 })));
        assert!(matches!(regular(&at("none"), 4), Err(NotRegular::Absent)));
        assert!(matches!(regular(&at("empty"), 4), Err(NotRegular::Empty)));
        for irregular in [at("link"), at("pipe"), folder.path().to_owned()] {
            assert!(matches!(regular(&irregular, 4), Err(NotRegular::Irregular)), "{}", irregular.display());
        }
        Ok(())
    }
}
