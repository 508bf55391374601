//! What stands in the lines of `--json`: regions, masks, zones and events.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the failure that is wanted")]

mod support;

use maskline::stats::{Report, RuleReport};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use support::{Bench, Clip};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// Fails unless every line follows docs/schema.
fn check_schema(lines: &[Value]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/frame.v1.json");
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert!(!lines.is_empty());
    for line in lines {
        let problems: Vec<_> = schema.iter_errors(line).map(|e| e.to_string()).collect();
        assert!(problems.is_empty(), "{line}: {problems:?}");
        for (key, value) in [
            ("schema", json!("maskline.frame/2")),
            ("other", json!(1)),
            ("share", json!({"dark": 2})),
        ] {
            let mut wrong = line.clone();
            wrong[key] = value;
            assert!(!schema.is_valid(&wrong), "the schema admits {wrong}");
        }
    }
}

/// Over the third column of a [`Clip`], which is bright in frames 4-7, 12-15 and so on, and over the upper half of the first.
const ZONES: &str = "
[[zone]]
name = 'third \"Ü\"'
polygon = [[0.25, 0], [0.375, 0], [0.375, 1], [0.25, 1]]
[[zone.rule]]
name = 'bright'
class = 'bright'
share_above = 0.5
for = '100ms'
[[zone.rule]]
name = 'dark again'
class = 'dark'
event = 'enters'
[[zone]]
name = 'first'
polygon = [[0, 0], [0.125, 0], [0.125, 0.5], [0, 0.5]]
";

/// A pipeline over a clip of 20 frames, 40 ms apart.
fn pipeline(bench: &Bench, more: &str) {
    Clip::regular(320, 240, 20).write(&bench.path("in.mp4"));
    let text = format!(
        "[source]\ninput = 'in.mp4'\n[model]\nfile = 'brightness.onnx'\n[execution]\nprovider = 'cpu'\n\
        [output]\njson = 'frames.jsonl'\nreport = 'report.json'\n{more}{ZONES}"
    );
    bench.write("p.toml", text);
}

#[test]
fn events_come_at_their_time_and_are_counted_in_the_report() {
    let bench = Bench::new();
    pipeline(&bench, "video = 'out.mp4'\n");
    let ran = bench.maskline(["run", "--verbose", "p.toml"]).ok();
    let lines = lines(&bench.path("frames.jsonl"));
    assert_eq!(lines.len(), 20);
    check_schema(&lines);
    let events: Vec<_> = lines.iter().flat_map(|l| l["events"].as_array().unwrap().clone()).collect();
    let told: Vec<_> = events
        .iter()
        .map(|e| {
            (
                e["frame"].as_u64().unwrap(),
                e["rule"].as_str().unwrap(),
                e["state"].as_str().unwrap(),
            )
        })
        .collect();
    // Bright from 160 ms on for more than 100 ms, and dark again from 320 ms on.
    let wanted = [
        (4, "dark again", "off"),
        (7, "bright", "on"),
        (8, "dark again", "on"),
        (11, "bright", "off"),
        (12, "dark again", "off"),
        (15, "bright", "on"),
        (16, "dark again", "on"),
        (19, "bright", "off"),
    ];
    assert_eq!(told, wanted[1..], "what is dark from the start has not entered");
    assert_eq!(
        events[0],
        json!({"pts_ns": 280_000_000, "frame": 7, "zone": "third \"Ü\"", "rule": "bright", "state": "on", "share": 1.0})
    );
    for (k, line) in lines.iter().enumerate() {
        let (third, first) = (&line["zones"][0], &line["zones"][1]);
        let bright = if k / 4 % 2 == 1 { 1.0 } else { 0.0 };
        assert_eq!(third["share"], json!({"dark": 1.0 - bright, "bright": bright}), "{line}");
        assert_eq!(first["share"]["bright"], json!(if k % 2 == 1 { 1.0 } else { 0.0 }), "{line}");
        let is_on = third["on"].as_array().unwrap().contains(&json!("bright"));
        assert_eq!(is_on, (7..11).contains(&k) || (15..19).contains(&k), "{line}");
    }
    let report: Report = serde_json::from_slice(&fs::read(bench.path("report.json")).unwrap()).unwrap();
    let rule = |rule: &str, on, off| RuleReport {
        zone: "third \"Ü\"".into(),
        rule: rule.into(),
        on,
        off,
    };
    assert_eq!(report.rules, [rule("bright", 2, 2), rule("dark again", 2, 1)]);
    let said = ran.stderr.lines().filter(|l| l.contains("\"bright\" is on at 100.0 %"));
    assert_eq!(said.count(), 2, "{}", ran.stderr);
    let quiet = bench.maskline(["run", "--overwrite", "p.toml"]).ok();
    assert!(!quiet.stderr.contains("is on at"), "{}", quiet.stderr);
}

#[test]
fn a_line_an_interval_still_has_every_event() {
    let bench = Bench::new();
    pipeline(&bench, "[messages]\nevery = '10s'\n");
    bench.maskline(["run", "p.toml"]).ok();
    let few = lines(&bench.path("frames.jsonl"));
    let indices: Vec<_> = few.iter().map(|l| l["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 7, 8, 11, 12, 15, 16, 19]);
    check_schema(&few);
    bench.maskline(["run", "p.toml", "--overwrite", "--json-every", "400ms"]).ok();
    let indices = lines(&bench.path("frames.jsonl"))
        .iter()
        .map(|l| l["index"].as_u64().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(indices, [0, 7, 8, 10, 11, 12, 15, 16, 19]);
}

#[test]
fn regions_and_masks_cover_what_the_shares_say() {
    let bench = Bench::new();
    Clip::regular(320, 240, 12).write(&bench.path("in.mp4"));
    bench.run("in.mp4 --json frames.jsonl --regions --rle").ok();
    let lines = lines(&bench.path("frames.jsonl"));
    check_schema(&lines);
    // Frame 5 is bright in the first and the third of eight columns.
    let regions: Vec<_> = lines[5]["regions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["name"].clone(), r["box"].clone()))
        .collect();
    let wanted = [
        (json!("dark"), json!([120, 0, 200, 240])),
        (json!("bright"), json!([0, 0, 40, 240])),
        (json!("dark"), json!([40, 0, 40, 240])),
        (json!("bright"), json!([80, 0, 40, 240])),
    ];
    assert_eq!(regions[0], wanted[0]);
    assert!(regions.len() == 4 && wanted.iter().all(|w| regions.contains(w)), "{regions:?}");
    assert_eq!(
        (&lines[5]["regions"][0]["area"], &lines[5]["regions_left_out"]),
        (&json!(200 * 240), &json!(0))
    );
    // Column by column: the same runs of 40 whole columns each.
    let masks = &lines[5]["rle"];
    let size = json!([240, 320]);
    assert_eq!(
        masks[1],
        json!({"class": 1, "name": "bright", "size": size, "counts": "0P\\9P\\90P`U1"})
    );
    bench.run("in.mp4 --json few.jsonl --regions --min-area 0.2").ok();
    assert_eq!(lines_of(&bench, "few.jsonl")[5]["regions"].as_array().unwrap().len(), 1);
    bench.run("in.mp4 --json bare.jsonl").ok();
    let bare = lines_of(&bench, "bare.jsonl");
    check_schema(&bare);
    assert!(["regions", "rle", "zones", "events"].iter().all(|key| bare[5].get(key).is_none()));
}

fn lines_of(bench: &Bench, name: &str) -> Vec<Value> {
    lines(&bench.path(name))
}

#[test]
fn all_problems_of_zones_come_at_once_each_with_its_place() {
    let bench = Bench::new();
    let text = "\
[source]
input = 'test:'
[output]
json = '-'
[messages]
every = '0s'
regoins = true
min_area = 3
[[zone]]
name = 'a'
polygon = [[0, 0], [1, 1]]
[[zone.rule]]
name = 'r'
class = 'road'
share_below = 0
[[zone.rule]]
name = 'r'
clas = 'road'
share_above = 0.5
event = 'flies'
for = '2'
[[zone]]
name = 'a'
polygon = [[0, 0], [1, 0], [0.5, 1.2]]
[[zone]]
name = ''
polygon = [[0, 0], [1, 0], [0.5]]
rule = [{ name = 'x', class = 'car' }, 7]
[[zone]]
colour = 'red'
";
    bench.write("bad.toml", text);
    let wanted = [
        ("bad.toml:6:9: messages.every:", "above 0"),
        (
            "bad.toml:7:1: unknown key \"regoins\" in [messages]",
            "regions, min_area, rle, every",
        ),
        ("bad.toml:8:12: messages.min_area:", "from 0 to 1"),
        ("bad.toml:11:1: zone[0].polygon:", "at least 3"),
        ("bad.toml:15:15: zone[0].rule[0].share_below:", "above 0"),
        ("bad.toml:16:1: zone[0].rule[1].class is missing", ""),
        ("bad.toml:17:1: zone[0].rule[1].name:", "a name of its own"),
        ("bad.toml:18:1: unknown key \"clas\" in [[zone.rule]]", "name, class"),
        ("bad.toml:20:1: zone[0].rule[1].event:", "one of them"),
        ("bad.toml:20:9: zone[0].rule[1].event:", "enters or leaves"),
        ("bad.toml:21:7: zone[0].rule[1].for:", "2s or 500ms"),
        ("bad.toml:23:1: zone[1].name:", "a name of its own"),
        ("bad.toml:24:1: zone[1].polygon:", "[0.5, 1.2]"),
        ("bad.toml:26:8: zone[2].name:", "an empty text"),
        ("bad.toml:27:28: zone[2].polygon:", "[x, y]"),
        ("bad.toml:28:11: zone[2].rule[0].name:", "none of share_below"),
        ("bad.toml:28:40: zone[2].rule:", "[[zone.rule]]"),
        ("bad.toml:29:1: zone[3].name is missing", ""),
        ("bad.toml:29:1: zone[3].polygon is missing", ""),
        ("bad.toml:30:1: unknown key \"colour\" in [[zone]]", "name, polygon, rule"),
    ];
    let ran = bench.maskline(["check", "bad.toml"]);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    let found: Vec<_> = ran.stderr.lines().map(|l| l.trim_start_matches("maskline: ")).collect();
    for (line, (start, part)) in found.iter().zip(wanted) {
        assert!(line.starts_with(start) && line.contains(part), "{line}, wanted {start} ... {part}");
    }
    assert_eq!(found.len(), wanted.len(), "{}", ran.stderr);
    bench.write(
        "table.toml",
        "[source]\ninput = 'test:'\n[output]\njson = '-'\n[zone]\nname = 'a'\n",
    );
    bench.maskline(["check", "table.toml"]).refused(78, "wanted [[zone]]");
}

#[test]
fn a_class_that_the_model_does_not_have_is_named_with_its_place_and_those_it_has() {
    let bench = Bench::new();
    pipeline(&bench, "");
    let text = fs::read_to_string(bench.path("p.toml")).unwrap();
    bench.write("p.toml", text.replace("class = 'bright'", "class = 'road'"));
    for command in ["check", "run"] {
        let ran = bench.maskline([command, "p.toml"]);
        ran.refused(78, "zone[0].rule[0].class: there is no class \"road\"; the model has dark, bright");
        assert!(ran.stderr.contains("p.toml:16:9: "), "{}", ran.stderr);
    }
}
