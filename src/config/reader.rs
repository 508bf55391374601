//! TOML with positions: reads what is known, remembers what is wrong, and reports all of it at the end.

use super::Places;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Something wrong in a file; prints as `LINE:COLUMN: what was found, what was wanted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// One line.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// A whole file.
pub(super) struct Document<'t> {
    text: &'t str,
    table: DeTable<'t>,
    known: Vec<&'static str>,
    /// Where each value that was asked for stands.
    values: Vec<(String, Range<usize>)>,
    problems: Vec<(Range<usize>, String)>,
}

impl<'t> Document<'t> {
    /// Reads the syntax; what is wrong with it is reported alone, since the rest would be guesswork.
    pub fn parse(text: &'t str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let document = Self {
            text,
            table: table.into_inner(),
            known: Vec::new(),
            values: Vec::new(),
            problems: errors
                .iter()
                .map(|e| (e.span().unwrap_or(0..0), e.message().trim().replace('\n', "; ")))
                .collect(),
        };
        if document.problems.is_empty() {
            Ok(document)
        } else {
            Err(document.positions())
        }
    }

    /// Reads one `[section]`, or the same without any key if it is not there.
    pub fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.known.push(name);
        let mut section = Section {
            name: name.into(),
            header: format!("[{name}]"),
            span: 0..0,
            table: None,
            known: Vec::new(),
            values: &mut self.values,
            problems: &mut self.problems,
        };
        if let Some((key, value)) = self.table.get_key_value(name) {
            section.span = key.span();
            match value.get_ref() {
                DeValue::Table(table) => section.table = Some(table),
                other => section.problems.push((
                    value.span(),
                    format!("{name} is {}, wanted a section [{name}]", article(other.type_str())),
                )),
            }
        }
        let result = read(&mut section);
        section.refuse_unknown();
        result
    }

    /// Reads every `[[name]]` in its order.
    pub fn tables<T>(&mut self, name: &'static str, read: impl FnMut(&mut Section<'_>) -> T) -> Vec<T> {
        self.known.push(name);
        let Some(value) = self.table.get(name) else { return Vec::new() };
        tables(value, name, &format!("[[{name}]]"), &mut self.values, &mut self.problems, read)
    }

    /// Whether a section is there, right or wrong.
    pub fn has(&self, section: &str) -> bool {
        self.table.contains_key(section)
    }

    /// Says that something is wrong with a whole section.
    pub fn problem(&mut self, section: &str, message: &str) {
        let span = self.table.get_key_value(section).map_or(0..0, |(key, _)| key.span());
        self.problems.push((span, message.to_owned()));
    }

    /// Reports everything that was wrong, or else where everything stands.
    pub fn finish(mut self) -> Result<Places, Vec<Problem>> {
        for key in self.table.keys().filter(|k| !self.known.contains(&k.get_ref().as_ref())) {
            let message = format!("unknown section {:?}, wanted one of {}", key.get_ref(), self.known.join(", "));
            self.problems.push((key.span(), message));
        }
        if !self.problems.is_empty() {
            return Err(self.positions());
        }
        let at = self.values.iter().map(|(key, span)| (key.clone(), position(self.text, span)));
        Ok(Places::new(at.collect()))
    }

    fn positions(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|(span, _)| span.start);
        let place = |(span, message): (Range<usize>, String)| {
            let (line, column) = position(self.text, &span);
            Problem { line, column, message }
        };
        self.problems.into_iter().map(place).collect()
    }
}

/// Line and column (in characters) of the start of a span, from 1.
fn position(text: &str, span: &Range<usize>) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(span.start)];
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (before.matches('\n').count() + 1, column)
}

/// Reads each of the tables of an array; `name` is what comes before the number in keys, `header` how the file writes it.
fn tables<T>(
    value: &Spanned<DeValue<'_>>,
    name: &str,
    header: &str,
    values: &mut Vec<(String, Range<usize>)>,
    problems: &mut Vec<(Range<usize>, String)>,
    mut read: impl FnMut(&mut Section<'_>) -> T,
) -> Vec<T> {
    let wrong = |value: &Spanned<DeValue<'_>>, problems: &mut Vec<_>| {
        let found = article(value.get_ref().type_str());
        problems.push((value.span(), format!("{name}: found {found}, wanted {header} for each")));
    };
    let Some(array) = value.get_ref().as_array() else {
        wrong(value, problems);
        return Vec::new();
    };
    let mut all = Vec::new();
    for (number, item) in array.iter().enumerate() {
        let Some(table) = item.get_ref().as_table() else {
            wrong(item, problems);
            continue;
        };
        let mut section = Section {
            name: format!("{name}[{number}]"),
            header: header.into(),
            span: item.span(),
            table: Some(table),
            known: Vec::new(),
            values: &mut *values,
            problems: &mut *problems,
        };
        all.push(read(&mut section));
        section.refuse_unknown();
    }
    all
}

/// One section; asking for a key makes it known.
pub(super) struct Section<'d> {
    /// What keys in it begin with: `overlay`, `zone[0]`.
    name: String,
    /// How the file writes it: `[overlay]`, `[[zone]]`.
    header: String,
    span: Range<usize>,
    table: Option<&'d DeTable<'d>>,
    known: Vec<&'static str>,
    values: &'d mut Vec<(String, Range<usize>)>,
    problems: &'d mut Vec<(Range<usize>, String)>,
}

impl<'d> Section<'d> {
    /// A text, read by `parse`.
    pub fn text<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.read(key, "a text", |value| value.as_str(), parse)
    }

    /// A number, read by `parse` as it is written.
    pub fn number<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.read(key, "a number", number, parse)
    }

    /// Either of both.
    pub fn text_or_number<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.read(key, "a number or a text", |value| value.as_str().or_else(|| number(value)), parse)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        flag
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of texts");
            return None;
        };
        let mut texts = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.wrong_type(key, item, "a list of texts"),
            }
        }
        Some(texts)
    }

    /// A table of numbers, each read by `parse` as it is written.
    pub fn numbers<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<BTreeMap<String, T>> {
        let value = self.value(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table of numbers, such as { car = 0.5 }");
            return None;
        };
        let mut numbers = BTreeMap::new();
        for (name, item) in table {
            let name = name.get_ref();
            match number(item.get_ref()).map(&parse) {
                Some(Ok(number)) => drop(numbers.insert(name.to_string(), number)),
                Some(Err(message)) => self.problems.push((item.span(), format!("{}.{key}.{name}: {message}", self.name))),
                None => self.wrong_type(&format!("{key}.{name}"), item, "a number"),
            }
        }
        Some(numbers)
    }

    /// A list of points `[x, y]`.
    pub fn points(&mut self, key: &'static str) -> Option<Vec<[f64; 2]>> {
        const WANTED: &str = "a list of points, such as [[0.1, 0.9], [0.5, 0.4], [0.9, 0.9]]";
        let value = self.value(key)?;
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type(key, value, WANTED);
            return None;
        };
        let mut points = Vec::new();
        for item in list.iter() {
            let numbers = item.get_ref().as_array().map(|pair| {
                let coordinate = |c: &Spanned<DeValue<'_>>| number(c.get_ref())?.parse().ok();
                pair.iter().map(coordinate).collect::<Option<Vec<f64>>>()
            });
            match numbers {
                Some(Some(pair)) if pair.len() == 2 => points.push([pair[0], pair[1]]),
                Some(_) => {
                    let message = format!("{}.{key}: found a point that is not two numbers, wanted [x, y]", self.name);
                    self.problems.push((item.span(), message));
                }
                None => self.wrong_type(key, item, WANTED),
            }
        }
        (points.len() == list.len()).then_some(points)
    }

    /// Reads `[SECTION.key]`, or the same without any key if it is not there.
    pub fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = self.value(key);
        let path = format!("{}.{key}", self.header.trim_matches(['[', ']']));
        let mut section = Section {
            name: format!("{}.{key}", self.name),
            header: format!("[{path}]"),
            span: value.map_or(self.span.clone(), Spanned::span),
            table: value.and_then(|v| v.get_ref().as_table()),
            known: Vec::new(),
            values: &mut *self.values,
            problems: &mut *self.problems,
        };
        if let Some(other) = value.filter(|v| v.get_ref().as_table().is_none()) {
            let found = article(other.get_ref().type_str());
            let message = format!("{} is {found}, wanted a section [{path}]", section.name);
            section.problems.push((other.span(), message));
        }
        let result = read(&mut section);
        section.refuse_unknown();
        result
    }

    /// Reads every `[[SECTION.key]]` that belongs to this one, in its order.
    pub fn tables<T>(&mut self, key: &'static str, read: impl FnMut(&mut Section<'_>) -> T) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let header = format!("[[{}.{key}]]", self.header.trim_matches(['[', ']']));
        tables(value, &format!("{}.{key}", self.name), &header, self.values, self.problems, read)
    }

    /// The same for a key that may be there.
    pub fn may(&mut self, key: &'static str) -> bool {
        self.known.push(key);
        self.has(key)
    }

    /// Whether a key is there, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|t| t.contains_key(key))
    }

    /// Says that something is wrong with a key.
    pub fn problem(&mut self, key: &str, message: &str) {
        let span = self
            .table
            .and_then(|t| t.get_key_value(key))
            .map_or(self.span.clone(), |(k, _)| k.span());
        self.problems.push((span, format!("{}.{key}: {message}", self.name)));
    }

    /// Says that a key is missing, unless it is there and has been found wrong.
    pub fn require(&mut self, key: &'static str) {
        if !self.has(key) {
            self.problems.push((self.span.clone(), format!("{}.{key} is missing", self.name)));
        }
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        scalar: impl for<'v> FnOnce(&'v DeValue<'d>) -> Option<&'v str>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let Some(text) = scalar(value.get_ref()) else {
            self.wrong_type(key, value, wanted);
            return None;
        };
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(message) => {
                self.problems.push((value.span(), format!("{}.{key}: {message}", self.name)));
                None
            }
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key);
        let value = self.table?.get(key)?;
        self.values.push((format!("{}.{key}", self.name), value.span()));
        Some(value)
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = article(value.get_ref().type_str());
        self.problems
            .push((value.span(), format!("{}.{key}: found {found}, wanted {wanted}", self.name)));
    }

    fn refuse_unknown(&mut self) {
        let Some(table) = self.table else { return };
        for key in table.keys().filter(|k| !self.known.contains(&k.get_ref().as_ref())) {
            let message = format!(
                "unknown key {:?} in {}, wanted one of {}",
                key.get_ref(),
                self.header,
                self.known.join(", ")
            );
            self.problems.push((key.span(), message));
        }
    }
}

fn number<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    let integer = value.as_integer().filter(|i| i.radix() == 10).map(|i| i.as_str());
    integer.or_else(|| value.as_float().map(|f| f.as_str()))
}

fn article(name: &str) -> String {
    let an = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {name}", if an { "an" } else { "a" })
}
