use proptest::prelude::*;

use super::*;

const RATE: u32 = 22_050;

/// Speech-like sound: a buzzing vowel of changing pitch in syllables, with short pauses.
fn speech_like(secs: f64) -> Vec<f32> {
    let frames = (secs * f64::from(RATE)) as usize;
    (0..frames)
        .map(|n| {
            let t = n as f64 / f64::from(RATE);
            let syllable = (t * 4.0 * std::f64::consts::PI).sin().max(0.0);
            let pitch = 120.0 + 20.0 * (t * 1.3).sin();
            let voice: f64 =
                (1..6).map(|k| (t * pitch * f64::from(k) * std::f64::consts::TAU).sin() / f64::from(k)).sum();
            (0.25 * syllable.sqrt() * voice) as f32
        })
        .collect()
}

fn noise(frames: usize, level: f32) -> Vec<f32> {
    let mut state = 0x1234_5678_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..frames).map(|_| next() * level).collect()
}

fn wav(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|s| ((s.clamp(-1.0, 1.0) * 32_767.0) as i16).to_le_bytes()).collect();
    wav_file(1, 16, &data)
}

fn float_wav(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    wav_file(3, 32, &data)
}

fn wav_file(kind: u16, bits: u16, data: &[u8]) -> Vec<u8> {
    let bytes_per_frame = bits / 8;
    let mut out = Vec::new();
    out.extend(b"RIFF");
    out.extend((36 + data.len() as u32).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16_u32.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend(1_u16.to_le_bytes());
    out.extend(RATE.to_le_bytes());
    out.extend((RATE * u32::from(bytes_per_frame)).to_le_bytes());
    out.extend(bytes_per_frame.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out.extend(b"data");
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}

fn faults(bytes: &[u8]) -> Vec<AudioFault> {
    check_audio(bytes, Expected::ANY).map_or_else(|bad| bad.faults, |_| Vec::new())
}

/// Asserts that a fault of this kind is among those found.
macro_rules! caught {
    ($bytes:expr, $kind:pat) => {
        let found = faults(&$bytes);
        assert!(found.iter().any(|fault| matches!(fault, $kind)), "{} not in {found:?}", stringify!($kind));
    };
}

#[test]
fn good_speech_passes_with_its_measures() {
    let report = check_audio(&wav(&speech_like(3.0)), Expected::ANY).unwrap();
    assert_eq!((report.sample_rate, report.channels), (RATE, 1));
    assert!((report.secs - 3.0).abs() < 0.001 && (report.declared_secs.unwrap() - 3.0).abs() < 0.001);
    assert!((-25.0..-8.0).contains(&report.rms_db), "{}", report.rms_db);
    assert!(report.finite && report.clipped_share == 0.0 && report.noisy_share == 0.0);
    assert!(check_audio(&float_wav(&speech_like(1.0)), Expected::ANY).is_ok());
}

#[test]
fn truncated_sound_is_caught() {
    let whole = wav(&speech_like(3.0));
    for length in [whole.len() * 9 / 10, whole.len() / 2, 2_000] {
        caught!(whole[..length], AudioFault::Bytes { .. });
    }
    assert!(!faults(&whole[..30]).is_empty());
}

#[test]
fn silence_is_caught() {
    caught!(wav(&vec![0.0; 44_100]), AudioFault::Quiet(_));
    caught!(wav(&vec![0.0; 44_100]), AudioFault::Silent(_));
    let mut half = speech_like(1.0);
    half.extend(vec![0.0; 66_150]);
    caught!(wav(&half), AudioFault::Silent(_));
}

#[test]
fn clipped_noise_is_caught() {
    caught!(wav(&noise(44_100, 3.0)), AudioFault::Clipped(_));
    caught!(wav(&noise(44_100, 0.9)), AudioFault::Noisy(_));
}

#[test]
fn garbage_in_the_middle_is_caught() {
    let mut bytes = wav(&speech_like(3.0));
    let from = bytes.len() / 2;
    let garbage: Vec<u8> = noise(20_000, 1.0).iter().map(|s| (s * 127.0) as i8 as u8).collect();
    bytes[from..from + garbage.len()].copy_from_slice(&garbage);
    caught!(bytes, AudioFault::Noisy(_));
}

#[test]
fn samples_that_are_no_numbers_are_caught() {
    let mut samples = speech_like(1.0);
    samples[500] = f32::NAN;
    caught!(float_wav(&samples), AudioFault::NotFinite);
    samples[500] = f32::INFINITY;
    caught!(float_wav(&samples), AudioFault::NotFinite);
}

#[test]
fn garbage_bytes_are_caught() {
    let garbage: Vec<u8> = noise(50_000, 1.0).iter().map(|s| (s * 127.0) as i8 as u8).collect();
    caught!(garbage, AudioFault::Unknown(_));
    caught!(Vec::new(), AudioFault::Unknown(_));
    caught!(b"<html><body>502 Bad Gateway</body></html>"[..], AudioFault::Unknown(_));
}

#[test]
fn a_wrong_length_in_the_header_is_caught() {
    let mut bytes = wav(&speech_like(1.0));
    // What espeak-ng --stdout writes.
    bytes[40..44].copy_from_slice(&0x7fff_f000_u32.to_le_bytes());
    caught!(bytes, AudioFault::Bytes { .. });
    bytes[40..44].copy_from_slice(&0_u32.to_le_bytes());
    assert!(!faults(&bytes).is_empty());
}

#[test]
fn an_empty_file_with_a_good_header_is_caught() {
    assert!(!faults(&wav(&[])).is_empty());
    caught!(wav(&vec![0.0; 154]), AudioFault::Quiet(_));
}

#[test]
fn sound_too_short_or_too_long_for_its_words_is_caught() {
    let text = "The square of the hypotenuse equals the sum of the squares of the other two sides.";
    let expected = Expected::speech(text, Language::En);
    assert!(check_audio(&wav(&speech_like(4.9)), expected).is_ok());
    let short = check_audio(&wav(&speech_like(1.0)), expected).unwrap_err();
    assert!(matches!(short.faults[..], [AudioFault::TooShort { .. }]), "{short}");
    let long = check_audio(&wav(&speech_like(60.0)), expected).unwrap_err();
    assert!(matches!(long.faults[..], [AudioFault::TooLong { .. }]), "{long}");
}

#[test]
fn every_fault_is_told_in_one_line() {
    let bad = check_audio(&wav(&vec![0.0; 44_100]), Expected { secs_min: 5.0, secs_max: 9.0 }).unwrap_err();
    let told = bad.to_string();
    assert!(told.starts_with("the sound is corrupt: it is as good as silent"), "{told}");
    assert!(told.contains("100 % of it is silent; it lasts 2.00 s, but its words need at least 5.00 s"), "{told}");
    assert!(!told.contains('\n') && bad.report.is_some());
}

proptest! {
    #[test]
    fn no_bytes_make_the_check_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), magic in 0_usize..5) {
        let head: &[u8] = [&b""[..], b"RIFF\x24\x08\0\0WAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\xff\xfb\x90\x64"][magic];
        let _ = check_audio(&[head, &bytes].concat(), Expected::ANY);
    }

    #[test]
    fn one_broken_byte_never_panics(at in 0_usize..2_000, value in any::<u8>()) {
        let mut bytes = wav(&speech_like(0.2));
        bytes[at] = value;
        let _ = check_audio(&bytes, Expected::ANY);
    }

    #[test]
    fn a_cut_of_more_than_the_tolerance_is_always_caught(share in 0.0_f64..0.9) {
        let whole = wav(&speech_like(2.0));
        let length = (whole.len() as f64 * share) as usize;
        prop_assert!(!faults(&whole[..length]).is_empty());
    }
}
