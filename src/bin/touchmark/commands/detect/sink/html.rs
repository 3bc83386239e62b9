//! What was found as one HTML file.

use std::io::{BufWriter, Write};

use anyhow::Context;
use jiff::Timestamp;
use touchmark::detect::Detector;
use touchmark::profile::Profile;
use touchmark::report::{Expected, Finding, Head, Report};

use super::{Form, Out};
use crate::commands::detect::finding::Finding as Examined;
use crate::commands::detect::reader::Reader;

/// A report in the making.
pub struct Html {
    report: Report,
    out: Out,
}

impl Html {
    pub fn new(out: Out, reader: &Reader) -> anyhow::Result<Self> {
        let marks: Vec<_> = reader.marks().map(|mark| (mark.profile, mark.detector)).collect();
        // Keys of one profile share its line; lines of several profiles could not be told apart.
        let expected = match marks.as_slice() {
            [(profile, detector), others @ ..] if others.iter().all(|it| it.0.id == profile.id) => {
                expected(profile, detector).into_iter().collect()
            }
            _ => Vec::new(),
        };
        let report = Report::new(Head { date: date()?, expected, finishing: None });
        Ok(Self { report, out })
    }
}

impl Form for Html {
    fn write(&mut self, finding: Examined) -> anyhow::Result<()> {
        let mut shown = finding.shown.into_iter();
        let findings = finding.rows.into_iter().map(|row| Finding::new(row, shown.next()));
        self.report.document(findings.collect());
        Ok(())
    }

    fn failed(&mut self) {
        self.report.failed();
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Out> {
        let Self { report, mut out } = *self;
        write(report, &mut out)?;
        Ok(out)
    }
}

/// Writes a page.
pub fn write(report: Report, out: &mut impl Write) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    report.write(&mut out)?;
    Ok(out.flush()?)
}

/// The day, in UTC; `SOURCE_DATE_EPOCH` fixes it, so that equal input gives equal bytes.
pub fn date() -> anyhow::Result<String> {
    const FIXED: &str = "SOURCE_DATE_EPOCH";
    let now = match std::env::var(FIXED) {
        Ok(seconds) => {
            let wrong = || format!("{FIXED} is \"{seconds}\", but must be seconds since 1970");
            Timestamp::from_second(seconds.parse().with_context(wrong)?).with_context(wrong)?
        }
        Err(_) => Timestamp::now(),
    };
    Ok(now.strftime("%-d %B %Y (UTC)").to_string())
}

/// What marked text of growing length would give.
fn expected(profile: &Profile, detector: &Detector) -> Option<Expected> {
    let lengths = (0..=120).map(|step| 10f64.powf(f64::from(step) / 20.0).round() as u64);
    let mut lengths: Vec<u64> = lengths.collect();
    lengths.dedup();
    let point = |tokens: u64| Some((tokens, detector.expected_log10_p(tokens)?));
    let points = lengths.into_iter().map(point).collect::<Option<Vec<_>>>()?;
    let source = detector.reference_source()?.to_owned();
    Some(Expected { profile: profile.id.clone(), source, points })
}
