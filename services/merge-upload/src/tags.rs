//! The small texts that ffmpeg reads beside the media: the list of scenes, the title and the chapters.

use std::path::PathBuf;

use qsketch_video::Language;

use crate::plan::Place;

/// The list that the concat demuxer reads. Each length is told, since a file's own is rounded to milliseconds.
///
/// # Source
/// ffmpeg-formats(1), "concat": a name in single quotes; a quote within ends it, stands escaped, and begins it again.
pub(crate) fn list(videos: &[PathBuf], places: &[Place], frame_rate: u32) -> String {
    let mut list = String::from("ffconcat version 1.0\n");
    for (video, place) in videos.iter().zip(places) {
        let name = video.to_string_lossy().replace('\'', r"'\''");
        list.push_str(&format!("file '{name}'\nduration {:.6}\n", place.secs(frame_rate)));
    }
    list
}

/// The title and one chapter a scene, as ffmpeg's metadata file.
pub(crate) fn metadata(title: &str, scenes: &[&str], places: &[Place], frame_rate: u32) -> String {
    let mut text = format!(";FFMETADATA1\ntitle={}\n", escaped(title));
    for (scene, place) in scenes.iter().zip(places) {
        let (start, end) = (place.first_frame, place.end_frame());
        let title = escaped(scene);
        text.push_str(&format!("[CHAPTER]\nTIMEBASE=1/{frame_rate}\nSTART={start}\nEND={end}\ntitle={title}\n"));
    }
    text
}

/// A value of a metadata file: one line without control characters, what has a meaning there escaped.
///
/// # Source
/// ffmpeg-formats(1), "Metadata": `=`, `;`, `#`, `\` and newline are escaped with a backslash.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '=' | ';' | '#' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The language as MP4 tells it.
///
/// # Source
/// ISO/IEC 14496-12, "Media Header Box": three letters of ISO 639-2/T.
pub(crate) const fn iso_639_2(language: Language) -> &'static str {
    match language {
        Language::Ar => "ara",
        Language::De => "deu",
        Language::En => "eng",
        Language::Es => "spa",
        Language::Fr => "fra",
        Language::It => "ita",
        Language::Ja => "jpn",
        Language::Ko => "kor",
        Language::Pt => "por",
        Language::Zh => "zho",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_title_or_a_path_can_end_its_line() {
        let places = [Place { first_frame: 0, frames: 45, held: 0 }, Place { first_frame: 45, frames: 10, held: 1 }];
        assert_eq!(
            metadata("a=b;\n[CHAPTER]", &["#1\\", "2\r"], &places, 30),
            ";FFMETADATA1\ntitle=a\\=b\\; [CHAPTER]\n\
             [CHAPTER]\nTIMEBASE=1/30\nSTART=0\nEND=45\ntitle=\\#1\\\\\n\
             [CHAPTER]\nTIMEBASE=1/30\nSTART=45\nEND=55\ntitle=2 \n"
        );
        assert_eq!(
            list(&[PathBuf::from("/it's/a.mp4"), PathBuf::from("/b.mp4")], &places, 30),
            "ffconcat version 1.0\nfile '/it'\\''s/a.mp4'\nduration 1.500000\nfile '/b.mp4'\nduration 0.333333\n"
        );
    }
}
