//! The columns that a row's fields are.

use anyhow::bail;
use serde_json::{Map, Value};
use touchmark::corpus::table::{Column, Kind};
use touchmark::detect::Row;

/// In the order of a row's fields. `payload` holds lists of pairs of a text and a number, which no typed column does.
pub fn columns() -> Vec<Column> {
    use Kind::{Count, Flag, Json, Real, Text};
    let columns = [
        ("schema", Count),
        ("id", Text),
        ("source", Text),
        ("offset", Count),
        ("profile", Text),
        ("scheme", Text),
        ("prf", Text),
        ("key_id", Text),
        ("verdict", Text),
        ("log10_p", Real),
        ("log10_p_corrected", Real),
        ("score", Real),
        ("tokens_total", Count),
        ("tokens_scored", Count),
        ("repeated", Count),
        ("threshold_log10_p", Real),
        ("more_tokens", Count),
        ("reading", Text),
        ("ids_lost_in_text", Count),
        ("posterior", Real),
        ("decoy_p", Real),
        ("calibration", Text),
        ("calibrated", Flag),
        ("narrow_seeds", Flag),
        ("segments", Kind::List(Box::new(Kind::Object(segment())))),
        ("payload", Json),
        ("null", Text),
        ("family", Text),
        ("warnings", Kind::List(Box::new(Text))),
        ("detector_version", Text),
    ];
    columns.map(|(name, kind)| Column::new(name, kind)).into()
}

fn segment() -> Vec<Column> {
    let between = || Kind::List(Box::new(Kind::Count));
    let columns = [
        ("start", Kind::Count),
        ("end", Kind::Count),
        ("byte_start", Kind::Count),
        ("byte_end", Kind::Count),
        ("log10_p", Kind::Real),
        ("start_between", between()),
        ("end_between", between()),
    ];
    columns.map(|(name, kind)| Column::new(name, kind)).into()
}

/// A row's cells, by the names of its columns.
pub fn cells(row: &Row) -> anyhow::Result<Map<String, Value>> {
    match serde_json::to_value(row)? {
        Value::Object(cells) => Ok(cells),
        _ => bail!("internal fault: a row is no object"),
    }
}

#[cfg(test)]
mod tests {
    use touchmark::corpus::table;
    use touchmark::detect::{PayloadRow, Segment, Verdict};

    use super::*;

    /// A row that leaves no field out.
    fn full() -> Row {
        let empty = serde_json::json!({
            "schema": 1, "id": "a", "source": "b.jsonl", "offset": 3, "profile": "p", "scheme": "kgw", "prf": "x",
            "key_id": "k", "verdict": "detected", "log10_p": -7.25, "log10_p_corrected": -6.0, "score": 0.1,
            "tokens_total": 9, "tokens_scored": 8, "repeated": 1, "threshold_log10_p": -6.0, "reading": "r",
            "narrow_seeds": false, "segments": [], "null": "n", "family": "f", "warnings": ["say \"hi\", you"],
            "detector_version": "0",
        });
        let mut row: Row = serde_json::from_value(empty).unwrap();
        row.verdict = Verdict::Detected;
        row.more_tokens = Some(5);
        row.ids_lost_in_text = Some(2);
        row.posterior = Some(0.5);
        row.decoy_p = Some(0.01);
        row.calibration = Some("0123456789ab".into());
        row.calibrated = Some(true);
        row.segments = vec![Segment {
            start: 1,
            end: 4,
            byte_start: Some(2),
            byte_end: None,
            log10_p: -3.5,
            start_between: (0, 2),
            end_between: (3, 5),
        }];
        row.payload = Some(PayloadRow {
            message: "0x1".into(),
            bits: "1".into(),
            posterior: 0.9,
            ones: vec![0.9],
            next: vec![("0x0".into(), 0.1)],
            log10_p_if_known: Some(-8.0),
        });
        row
    }

    #[test]
    fn every_field_has_its_column() {
        let names: Vec<&str> = columns().iter().map(|column| column.name).collect();
        let fields: Vec<String> = cells(&full()).unwrap().keys().cloned().collect();
        assert_eq!(names, fields);
    }

    #[test]
    fn both_tables_take_a_full_row() {
        let mut csv = table::Csv::new(Vec::new(), columns()).unwrap();
        csv.write(&cells(&full()).unwrap()).unwrap();
        let csv = String::from_utf8(csv.finish().unwrap()).unwrap();
        assert_eq!(csv.lines().count(), 2);
        assert!(csv.contains(",\"[\"\"say \\\"\"hi\\\"\", you\"\"]\",0\n"), "{csv}");
        let mut parquet = table::Parquet::new(Vec::new(), columns()).unwrap();
        parquet.write(cells(&full()).unwrap()).unwrap();
        assert!(parquet.finish().unwrap().starts_with(b"PAR1"));
    }
}
