//! Class maps as a video without loss: ids as the values of grey pixels, FFV1 in Matroska.

use super::sample::Sampler;
use super::writing::Writing;
use crate::error::{Kind, fault};
use crate::frame::{ClassMap, VideoFormat};
use crate::media::{chain, element, init, location};
use crate::pending::Unnamed;
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::{VideoFormat as Layout, VideoInfo};
use maskline_models::Fit;
use std::path::Path;

/// Whether the extension is that of the only form there is.
///
/// # Errors
/// 64 for any other.
pub(crate) fn check(output: &Path) -> Result<()> {
    match output.extension().is_some_and(|e| e.eq_ignore_ascii_case("mkv")) {
        true => Ok(()),
        false => Err(fault(
            Kind::Usage,
            format!("{} is no .mkv, the only form of a video of class maps", output.display()),
        )),
    }
}

/// Of smaller pictures, what comes out of GStreamer's FFV1 is not what went in.
const SMALLEST: u32 = 16;

/// A video of class maps on its way; dropped, it leaves what was written as `NAME.part`.
pub struct ClassVideo {
    writing: Writing,
    info: VideoInfo,
    sampler: Sampler,
}

impl ClassVideo {
    /// Begins a file for frames of that format.
    ///
    /// # Errors
    /// 64 for a wrong extension or a part file in the way, 65 for frames that are too small, 74 where it cannot be written, 78 where a GStreamer plugin is missing.
    pub fn create(output: &Path, format: &VideoFormat) -> Result<Self> {
        init()?;
        check(output)?;
        let (width, height) = (format.width, format.height);
        if width.min(height) < SMALLEST {
            let text =
                format!("the frames are {width}x{height}, but a video of class maps takes {SMALLEST}x{SMALLEST} and more: use --masks");
            return Err(fault(Kind::BadInput, text));
        }
        let mut writing = Writing::create(output)?;
        let fraction = |(n, d): (u32, u32)| gst::Fraction::new(n as i32, d.max(1) as i32);
        let info = VideoInfo::builder(Layout::Gray8, format.width, format.height)
            .fps(fraction(format.rate.unwrap_or((0, 1))))
            .par(fraction(format.pixel_aspect));
        let info = info.build().context("the format of class maps")?;
        let source = writing.feed(&info)?;
        let encoder = element("avenc_ffv1")?;
        // Every picture stands alone, so that a reader can go to any of them and a broken one costs no other.
        encoder.set_property("gop-size", 1);
        let muxer = element("matroskamux")?;
        muxer.set_property("writing-app", concat!("maskline ", env!("CARGO_PKG_VERSION")));
        let file = element("filesink")?;
        file.set_property("location", location(writing.part())?);
        file.set_property_from_str("buffer-mode", "unbuffered");
        chain(writing.pipeline().upcast_ref(), &[source.upcast_ref(), &encoder, &muxer, &file])?;
        writing.play()?;
        Ok(Self {
            writing,
            info,
            sampler: Sampler::default(),
        })
    }

    /// Writes the class map of one frame, by nearest neighbour out of the part of the model's input that the frame covers: the
    /// pixels are those of the masks.
    ///
    /// # Errors
    /// 74 where it cannot be written.
    pub fn write(&mut self, pts_ns: u64, duration_ns: Option<u64>, map: &ClassMap, fit: &Fit) -> Result<()> {
        let mut pixels = vec![0; self.info.size()];
        let size = (self.info.width(), self.info.height());
        self.sampler.sample(&mut pixels, self.info.stride()[0] as usize, map, fit, size);
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        let fresh = buffer.make_mut();
        fresh.set_pts(gst::ClockTime::from_nseconds(pts_ns));
        fresh.set_duration(duration_ns.map(gst::ClockTime::from_nseconds));
        self.writing.write(buffer)
    }

    /// What is written until it has its name.
    pub fn partial(&self) -> &Path {
        self.writing.part()
    }

    /// Writes the file to its end, and leaves its name to be given.
    ///
    /// # Errors
    /// 65 if no map came, 74 where it cannot be written to its end.
    pub fn complete(mut self) -> Result<Unnamed> {
        self.writing.close()?;
        self.writing.unnamed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::masks::MaskWriter;
    use super::*;
    use crate::media::{Side, Watch};
    use crate::testing::plain;
    use gstreamer_app::AppSink;
    use gstreamer_video::{VideoFrameExt, VideoFrameRef};
    use maskline_models::Rect;
    use std::fs::File;
    use std::io::BufReader;

    fn format(width: u32, height: u32) -> VideoFormat {
        VideoFormat {
            rate: None,
            ..plain(width, height)
        }
    }

    /// Time and ids of every frame, as FFmpeg decodes them.
    fn decoded(path: &Path) -> Vec<(u64, Vec<u8>)> {
        let mut watch = Watch::new(Side::Reading("a test".into()));
        let [source, demuxer, decoder] = ["filesrc", "matroskademux", "avdec_ffv1"].map(|name| element(name).unwrap());
        source.set_property("location", path.to_str().unwrap());
        let sink = AppSink::builder().sync(false).build();
        let pipeline = watch.pipeline().upcast_ref();
        chain(pipeline, &[&source, &demuxer]).unwrap();
        chain(pipeline, &[&decoder, sink.upcast_ref()]).unwrap();
        let pad = decoder.static_pad("sink").unwrap();
        demuxer.connect_pad_added(move |_, found| {
            found.link(&pad).ok();
        });
        watch.play().unwrap();
        let mut frames = Vec::new();
        while let Ok(sample) = sink.pull_sample() {
            let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            assert_eq!(info.format(), Layout::Gray8);
            let buffer = sample.buffer().unwrap();
            let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info).unwrap();
            let (rows, stride) = (frame.plane_data(0).unwrap(), frame.plane_stride()[0] as usize);
            let rows = rows.chunks(stride).take(info.height() as usize);
            let ids = rows.flat_map(|row| &row[..info.width() as usize]).copied().collect();
            frames.push((buffer.pts().unwrap().nseconds(), ids));
        }
        frames
    }

    fn mask(path: &Path) -> Vec<u8> {
        let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    }

    #[test]
    fn every_id_comes_back_as_the_masks_have_it_at_the_time_of_its_frame() {
        for (width, height) in [(33, 19), (854, 48), (16, 16)] {
            let folder = tempfile::tempdir().unwrap();
            let output = folder.path().join("maps.mkv");
            let mut masks = MaskWriter::create(&folder.path().join("masks"), &[[0; 3]; 256]).unwrap();
            let mut video = ClassVideo::create(&output, &format(width, height)).unwrap();
            // Every id, and rows that end in every way; a letterboxed input, of which only a part is the frame.
            let fit = Fit {
                width: 32,
                height: 32,
                content: Rect {
                    x: 0,
                    y: 4,
                    width: 32,
                    height: 24,
                },
                pad: 0,
            };
            let times = [0_u64, 40, 55, 300].map(|ms| ms * 1_000_000);
            for (index, pts_ns) in (0..).zip(times) {
                let ids = (0..32 * 32).map(|at: u32| (at * 7 + index as u32 * 31) as u8).collect();
                let map = ClassMap {
                    width: 32,
                    height: 32,
                    ids,
                };
                masks.write(index, &map, &fit, width, height).unwrap();
                video.write(pts_ns, None, &map, &fit).unwrap();
            }
            assert!(!output.exists() && video.partial().exists());
            video.complete().unwrap().claim().unwrap();
            masks.finish().unwrap();
            let frames = decoded(&output);
            assert_eq!(frames.iter().map(|(pts_ns, _)| *pts_ns).collect::<Vec<_>>(), times);
            for (index, (_, ids)) in frames.iter().enumerate() {
                assert!(
                    *ids == mask(&folder.path().join(format!("masks/{index:06}.png"))),
                    "{width}x{height}, frame {index}"
                );
            }
        }
    }

    #[test]
    fn it_is_matroska_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |name: &str| {
            ClassVideo::create(&folder.path().join(name), &format(16, 16))
                .err()
                .unwrap()
                .to_string()
        };
        assert!(refusal("maps.mp4").contains("no .mkv"));
        assert!(refusal("none/maps.mkv").contains("no folder"));
        let small = ClassVideo::create(&folder.path().join("maps.mkv"), &format(15, 16));
        assert!(small.err().unwrap().to_string().contains("15x16"));
        let video = ClassVideo::create(&folder.path().join("maps.mkv"), &format(16, 16)).unwrap();
        assert!(video.complete().unwrap_err().to_string().contains("not a single frame"));
        assert_eq!(
            std::fs::read_dir(&folder).unwrap().count(),
            0,
            "nothing is left of a video without a frame"
        );
    }
}
