//! The whole pipeline inside another program: `cargo run --example embed -- VIDEO [MODEL] [OUT.mp4]`

use maskline::Pipeline;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut pipeline = Pipeline::new(args.next().unwrap_or("test:".into())).on_classes(|frame| {
        let seen = frame.shares().into_iter().filter(|(_, share)| *share > 0.1);
        let seen: Vec<_> = seen
            .map(|(class, share)| format!("{} {:.0} %", class.name, 100.0 * share))
            .collect();
        println!("{:8.2} s  {}", frame.pts_ns as f64 / 1e9, seen.join(", "));
        Ok(())
    });
    if let Some(model) = args.next() {
        pipeline = pipeline.model(model);
    }
    if let Some(video) = args.next() {
        pipeline = pipeline.video(video).alpha(0.4);
    }
    println!("{}", pipeline.run()?);
    Ok(())
}
