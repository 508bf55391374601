//! `[[zone]]` and `[[zone.rule]]`.

use super::reader::{Document, Section};
use super::values;
use crate::messages::{Rule, When, Zone};

/// Zones of a stream at most.
const MOST_ZONES: usize = 64;

/// Every zone of a file. What is wrong is remembered with its place.
pub(super) fn read(document: &mut Document<'_>) -> Vec<Zone> {
    let mut names = Vec::new();
    let zones = document.tables("zone", |section| zone(section, &mut names));
    if let Some(problem) = too_many(&zones) {
        document.problem("zone", &problem);
    }
    zones
}

/// Every zone of a section.
pub(super) fn read_in(section: &mut Section<'_>) -> Vec<Zone> {
    let mut names = Vec::new();
    let zones = section.tables("zone", |section| zone(section, &mut names));
    if let Some(problem) = too_many(&zones) {
        section.problem("zone", &problem);
    }
    zones
}

/// Each zone is looked at in every frame, and drawn twice before the first.
fn too_many(zones: &[Zone]) -> Option<String> {
    (zones.len() > MOST_ZONES).then(|| format!("found {} zones, wanted at most {MOST_ZONES}", zones.len()))
}

fn zone(section: &mut Section<'_>, names: &mut Vec<String>) -> Zone {
    let mut rules = Vec::new();
    Zone {
        name: name(section, names),
        polygon: polygon(section),
        rules: section
            .tables("rule", |section| rule(section, &mut rules))
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// A name that none before it has.
fn name(section: &mut Section<'_>, before: &mut Vec<String>) -> String {
    section.require("name");
    let name = section.text("name", values::not_empty).unwrap_or_default();
    if !name.is_empty() && before.contains(&name) {
        section.problem("name", &format!("found a second {name:?}, wanted a name of its own"));
    }
    before.push(name.clone());
    name
}

fn polygon(section: &mut Section<'_>) -> Vec<[f64; 2]> {
    section.require("polygon");
    let Some(polygon) = section.points("polygon") else {
        return Vec::new();
    };
    if let Err(problem) = Zone::check_polygon(&polygon) {
        section.problem("polygon", &problem);
    }
    polygon
}

/// One rule; none where something in it is wrong, which has been said then.
fn rule(section: &mut Section<'_>, before: &mut Vec<String>) -> Option<Rule> {
    let name = name(section, before);
    section.require("class");
    let class = section.text("class", values::not_empty);
    let below = section.number("share_below", |s| limit(s, When::Below));
    let above = section.number("share_above", |s| limit(s, When::Above));
    let event = section.text("event", event);
    let there = section.number("share", |s| limit(s, When::Enters)).map_or(When::THERE, When::limit);
    let hold_ns = section.text("for", values::span_ns).unwrap_or(0);
    let given: Vec<_> = ["share_below", "share_above", "event"]
        .into_iter()
        .filter(|k| section.has(k))
        .collect();
    match given[..] {
        [] => section.problem("name", "found none of share_below, share_above and event, wanted one of them"),
        [_] => {}
        [.., last] => section.problem(last, &format!("found {}, wanted one of them", given.join(" and "))),
    }
    if section.has("share") && !section.has("event") {
        section.problem("share", "it is for event; wanted share_below or share_above instead");
    }
    let when = below.or(above).or(event.map(|event| event(there)))?;
    Some(Rule {
        name,
        class: class?,
        when,
        hold_ns,
    })
}

/// What a share means, if it can be crossed.
fn limit(text: &str, when: fn(f64) -> When) -> Result<When, String> {
    let when = when(values::share(text)?);
    when.check().map(|()| when)
}

fn event(text: &str) -> Result<fn(f64) -> When, String> {
    match text {
        "enters" => Ok(When::Enters),
        "leaves" => Ok(When::Leaves),
        _ => Err(format!("found {text:?}, wanted enters or leaves")),
    }
}
