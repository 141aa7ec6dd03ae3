//! The world `camera` in Rust: YUYV to a PPM image, which the model's decoder reads.
wit_bindgen::generate!({ path: "../wit", world: "camera", generate_all });

use thimble::vision::model::{classify, Error};

struct Camera;

/// BT.601, full range, in 1/65536.
fn rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = ((i32::from(y) << 16) + 32768, i32::from(u) - 128, i32::from(v) - 128);
    [y + 91881 * v, y - 22554 * u - 46802 * v, y + 116130 * u].map(|c| (c >> 16).clamp(0, 255) as u8)
}

impl Guest for Camera {
    fn labels(frame: Vec<u8>, width: u32, height: u32) -> Result<Vec<String>, String> {
        let expected = u64::from(width) * u64::from(height) * 2;
        if width % 2 != 0 || frame.len() as u64 != expected {
            return Err(format!("a YUYV frame of {width} x {height} has {expected} bytes, an even width; got {}", frame.len()));
        }
        let mut image = format!("P6 {width} {height} 255\n").into_bytes();
        for pair in frame.chunks_exact(4) {
            image.extend(rgb(pair[0], pair[1], pair[3]));
            image.extend(rgb(pair[2], pair[1], pair[3]));
        }
        match classify(&image, 3) {
            Ok(best) => Ok(best.into_iter().map(|p| format!("{}, {:.1} %", p.label, 100.0 * p.score)).collect()),
            Err(Error::WrongSize(why) | Error::BadImage(why) | Error::TooLarge(why) | Error::Failed(why)) => Err(why),
        }
    }
}

export!(Camera);
