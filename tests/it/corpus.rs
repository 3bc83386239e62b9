//! Documents in every form that is read, and inputs that mean harm.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, LargeListBuilder, ListBuilder, UInt32Builder};
use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, LargeStringArray, RecordBatch,
    StringArray, StringViewArray, UInt16Array,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use serde_json::json;
use tempfile::TempDir;
use touchmark::corpus::{
    Content, Document, DocumentError, Fields, Format, Place, Reading, Records, documents, sources,
};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

type Item = Result<Document, DocumentError>;

fn read_with(path: &Path, reading: Reading) -> Vec<Item> {
    documents(sources(vec![path.to_owned()], None), reading).collect()
}

fn read(path: &Path) -> Vec<Item> {
    read_with(path, Reading::default())
}

fn good(items: Vec<Item>) -> Vec<Document> {
    items.into_iter().map(Result::unwrap).collect()
}

fn texts(items: &[Item]) -> Vec<&str> {
    let text = |item| match item {
        &Ok(Document { content: Content::Text(ref text), .. }) => Some(text.as_str()),
        _ => None,
    };
    items.iter().filter_map(text).collect()
}

fn errors(items: Vec<Item>) -> Vec<String> {
    items.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Texts that forms write in different ways.
const TEXTS: [&str; 5] = [
    "plain",
    "two\nlines, \"quoted\", a\ttab",
    "ünïcödé \u{1F600} and NUL \0 inside",
    "",
    " blanks at both ends \r\n",
];

fn all_fields() -> Fields {
    Fields { text: "body".into(), id: "name".into(), tokens: None, prompt: Some("question".into()) }
}

fn jsonl() -> String {
    let record = |(at, text): (usize, &&str)| {
        let other = json!({"deep": [{"text": [1, {"a": null}]}]});
        json!({"other": other, "name": format!("n{at}"), "body": text, "ids": [at, 7, 4_294_967_295_u32],
            "question": format!("what, {at}?")})
        .to_string()
    };
    TEXTS.iter().enumerate().map(record).map(|record| record + "\n").collect()
}

/// As a spreadsheet would write it.
fn table(delimiter: char) -> String {
    let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
    let mut rows = vec![["other", "name", "body", "ids", "question"].map(str::to_owned)];
    for (at, text) in TEXTS.iter().enumerate() {
        rows.push([
            quoted("\n\n"),
            format!("n{at}"),
            quoted(text),
            format!("\"[{at}, 7, 4294967295]\""),
            quoted(&format!("what, {at}?")),
        ]);
    }
    rows.iter().map(|row| row.join(&delimiter.to_string()) + "\r\n").collect()
}

/// The corpus as columns, of every kind of text and list.
fn columns() -> Vec<RecordBatch> {
    let names: Vec<String> = (0..TEXTS.len()).map(|at| format!("n{at}")).collect();
    let questions: Vec<String> = (0..TEXTS.len()).map(|at| format!("what, {at}?")).collect();
    let mut small = ListBuilder::new(UInt32Builder::new());
    let mut large = LargeListBuilder::new(Int64Builder::new());
    for at in 0..TEXTS.len() {
        small.append_value([at as u32, 7, u32::MAX].map(Some));
        large.append_value([at as i64, 7, u32::MAX.into()].map(Some));
    }
    let (small, large): (ArrayRef, ArrayRef) = (Arc::new(small.finish()), Arc::new(large.finish()));
    let other = || -> ArrayRef {
        let words = ["a", "b", "a", "b", "a"].into_iter();
        Arc::new(words.collect::<DictionaryArray<Int8Type>>())
    };
    let texts: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter_values(TEXTS)),
        Arc::new(LargeStringArray::from_iter_values(TEXTS)),
        Arc::new(StringViewArray::from_iter_values(TEXTS)),
    ];
    let batch = |(body, ids): (ArrayRef, ArrayRef)| {
        let columns: [(&str, ArrayRef); 5] = [
            ("question", Arc::new(StringArray::from(questions.clone()))),
            ("other", other()),
            ("ids", ids),
            ("name", Arc::new(LargeStringArray::from(names.clone()))),
            ("body", body),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    texts.into_iter().zip([small.clone(), large, small]).map(batch).collect()
}

fn parquet_of(batches: &[RecordBatch], properties: WriterProperties) -> Vec<u8> {
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties)).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap()
}

fn arrow_of(batches: &[RecordBatch], packed: Option<CompressionType>, file: bool) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(packed).unwrap();
    let schema = batches[0].schema();
    if file {
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        return writer.into_inner().unwrap();
    }
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

/// Each batch in parquet and arrow, in one part and in parts.
fn columnar(folder: &Folder) -> Vec<PathBuf> {
    let mut forms = Vec::new();
    for (at, batch) in columns().into_iter().enumerate() {
        for packed in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::LZ4_RAW,
            Compression::GZIP(Default::default()),
            Compression::BROTLI(Default::default()),
            Compression::ZSTD(Default::default()),
        ] {
            let properties = WriterProperties::builder().set_compression(packed);
            let properties = properties.set_max_row_group_row_count(Some(2)).build();
            let bytes = parquet_of(std::slice::from_ref(&batch), properties);
            forms.push(folder.write(&format!("{at}{packed}.parquet"), &bytes));
            forms.push(folder.write(&format!("{at}{packed}"), bytes));
        }
        let parts = [batch.slice(0, 2), batch.slice(2, 0), batch.slice(2, 3)];
        for packed in [None, Some(CompressionType::ZSTD), Some(CompressionType::LZ4_FRAME)] {
            let file = arrow_of(&parts, packed, true);
            let stream = arrow_of(&parts, packed, false);
            forms.push(folder.write(&format!("{at}{packed:?}.feather"), &file));
            forms.push(folder.write(&format!("{at}{packed:?}.arrow.gz"), gz(&file)));
            forms.push(folder.write(&format!("{at}{packed:?}file"), file));
            forms.push(folder.write(&format!("{at}{packed:?}.arrow"), &stream));
            forms.push(folder.write(&format!("{at}{packed:?}.arrows.zst"), zst(&stream)));
        }
    }
    forms
}

/// Without what differs between forms.
fn bare(documents: Vec<Document>) -> Vec<(String, Content, Option<String>)> {
    documents.into_iter().map(|document| (document.id, document.content, document.prompt)).collect()
}

/// Every form of one corpus.
fn forms(folder: &Folder) -> Vec<PathBuf> {
    let mut forms = Vec::new();
    for (name, content) in
        [("a.jsonl", jsonl()), ("a.ndjson", jsonl()), ("a.csv", table(',')), ("a.tsv", table('\t'))]
    {
        let bytes = content.as_bytes();
        let marked = [b"\xEF\xBB\xBF", bytes].concat();
        forms.push(folder.write(name, bytes));
        forms.push(folder.write(&format!("{name}.gz"), gz(bytes)));
        forms.push(folder.write(&format!("{name}.zst"), zst(bytes)));
        forms.push(folder.write(&format!("marked/{name}"), &marked));
        forms.push(folder.write(&format!("marked/{name}.GZ"), gz(&marked)));
        // Packed whatever the name says.
        forms.push(folder.write(&format!("misnamed/{name}"), zst(bytes)));
        // Packed in parts, as `cat a.gz b.gz` makes them.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        forms.push(folder.write(&format!("parts/{name}.gz"), [gz(first), gz(second)].concat()));
        forms.push(folder.write(&format!("parts/{name}.zst"), [zst(first), zst(second)].concat()));
    }
    forms
}

#[test]
fn every_form_gives_the_same_documents() {
    let folder = Folder::new();
    let (text, tokens) = (
        all_fields(),
        Fields { tokens: Some("ids".into()), text: "absent".into(), ..all_fields() },
    );
    let of = |fields: &Fields, path: &Path| {
        bare(good(read_with(path, Reading { fields: fields.clone(), ..Reading::default() })))
    };
    let expected = |content: fn(usize) -> Content| {
        (0..TEXTS.len())
            .map(|at| (format!("n{at}"), content(at), Some(format!("what, {at}?"))))
            .collect::<Vec<_>>()
    };
    for form in forms(&folder).into_iter().chain(columnar(&folder)) {
        assert_eq!(of(&text, &form), expected(|at| Content::Text(TEXTS[at].into())), "{form:?}");
        let ids = expected(|at| Content::Tokens(vec![at as u32, 7, u32::MAX]));
        assert_eq!(of(&tokens, &form), ids, "{form:?}");
    }
}

#[test]
fn text_files_are_documents() {
    let folder = Folder::new();
    let text = "\u{FEFF}a\r\nb\0c\u{FEFF}";
    let named = ["a.txt", "a.md", "README", "a.txt.gz", "b.txt", "a.txt.zst"];
    let content = |name: &str| match name {
        "a.txt.gz" => gz(text.as_bytes()),
        "a.txt.zst" | "b.txt" => zst(text.as_bytes()),
        _ => text.as_bytes().to_vec(),
    };
    for name in named {
        let path = folder.write(name, content(name));
        let documents = good(read(&path));
        let [document] = &documents[..] else { panic!("{name}: {documents:?}") };
        assert_eq!(document.content, Content::Text("a\r\nb\0c\u{FEFF}".into()), "{name}");
        assert_eq!(document.offset, 3, "{name}");
        assert_eq!(document.id, path.display().to_string());
    }
    for (name, content) in [("e.txt", vec![]), ("e.txt.gz", gz(b""))] {
        assert_eq!(texts(&read(&folder.write(name, content))), [""], "{name}");
    }
}

#[test]
fn offsets_are_where_records_begin() {
    let folder = Folder::new();
    let plain = "{\"text\": \"a\"}\r\n\r\n  {\"text\": \"é\"}\n{\"text\": \"c\"}";
    let table = "id,text\r\n\r\n1,\"a\nb\"\r\n2,c\n\n3,d";
    for (name, whole, marks) in [
        ("a.jsonl", plain, ["{\"text\": \"a", "  {\"text\": \"é", "{\"text\": \"c"]),
        ("a.csv", table, ["1,\"a", "2,c", "3,d"]),
    ] {
        for mark in ["", "\u{FEFF}"] {
            let whole = format!("{mark}{whole}");
            let path = folder.write(&format!("{}{name}", mark.len()), &whole);
            for (document, begins) in good(read(&path)).iter().zip(marks) {
                assert!(
                    whole[document.offset as usize..].starts_with(begins),
                    "{name}: {document:?}"
                );
            }
            assert_eq!(read(&path).len(), 3);
        }
    }
}

#[test]
fn records_without_an_id_have_their_number() {
    let folder = Folder::new();
    let lines = "{\"text\": \"a\"}\n\n{\"text\": \"b\", \"id\": null}\n{\"text\": \"c\", \"id\": 7}\n{\"text\": \"d\", \"id\": 1.5}\n{\"text\": \"e\", \"id\": [1]}\n";
    let ids = |name, content: &str| {
        good(read(&folder.write(name, content))).into_iter().map(|d| d.id).collect::<Vec<_>>()
    };
    assert_eq!(ids("a.jsonl", lines), ["1", "3", "7", "1.5", "6"]);
    assert_eq!(ids("a.csv", "text\na\nb\n"), ["1", "2"]);
    assert_eq!(ids("b.csv", "id,text\nx,a\n,b\n"), ["x", "2"]);
}

#[test]
fn bad_lines_do_not_stop_the_rest() {
    let folder = Folder::new();
    let bad: [(&[u8], &str); 13] = [
        (b"not json", "not JSON"),
        (b"[1, 2]", "an object"),
        (b"null", "an object"),
        (b"{\"text\": \"x\"", "EOF"),
        (b"{\"text\": \"x\"} trailing", "trailing"),
        (b"{}", "\"text\" is missing, not a text"),
        (b"{\"text\": null}", "is null"),
        (b"{\"text\": 3}", "is a number"),
        (b"{\"text\": true}", "is true or false"),
        (b"{\"text\": {\"text\": \"x\"}}", "is an object"),
        (b"{\"text\": [\"x\"]}", "is a list"),
        (b"{\"text\": \"\xFF\"}", "not JSON"),
        (b"{\"text\": \"\\ud800\"}", "not JSON"),
    ];
    let mut content = b"{\"text\": \"first\"}\n".to_vec();
    for (line, _) in bad {
        content.extend_from_slice(line);
        content.push(b'\n');
    }
    content.extend_from_slice(b"{\"text\": \"last\"}");
    let items = read(&folder.write("a.jsonl", content));
    assert_eq!(texts(&items), ["first", "last"]);
    for (at, ((_, says), error)) in bad.iter().zip(errors(items)).enumerate() {
        assert!(error.contains(&format!("line {}", at + 2)), "{error}");
        assert!(error.contains(says), "{error} should say {says}");
    }
}

#[test]
fn bad_token_lists_are_refused() {
    let folder = Folder::new();
    let fields = Fields { tokens: Some("ids".into()), ..Fields::default() };
    let reading = Reading { fields, ..Reading::default() };
    let bad = [
        "[-1]",
        "[4294967296]",
        "[1.5]",
        "[null]",
        "[[1]]",
        "[{}]",
        "\"x\"",
        "null",
        "[1, \"2\", 3]",
    ];
    let lines: String = bad.iter().map(|list| format!("{{\"ids\": {list}}}\n")).collect();
    let mut items = read_with(&folder.write("a.jsonl", lines + "{\"ids\": []}"), reading.clone());
    assert_eq!(items.pop().unwrap().unwrap().content, Content::Tokens(vec![]));
    assert_eq!(items.len(), bad.len());
    assert!(items.iter().all(|item| matches!(
        item,
        Err(DocumentError::Field { expected: "a list of token ids", .. })
    )));
    let table = "ids\n1 2\n\"[1,2]\"\n\"1, 2\"\n[1 2\n-1\nx\n";
    let items = read_with(&folder.write("a.csv", table), reading);
    let good = items.iter().filter_map(|item| item.as_ref().ok());
    assert!(good.clone().all(|document| document.content == Content::Tokens(vec![1, 2])));
    assert_eq!((good.count(), items.len()), (3, 6));
}

#[test]
fn bad_rows_do_not_stop_the_rest() {
    let folder = Folder::new();
    let rows = b"id,text\n1,a\n2\n3,c,d\n4,\xFF\n5,e\n6,\"never closed\n7,g\n";
    let items = read(&folder.write("a.csv", rows));
    assert_eq!(texts(&items), ["a", "e", "never closed\n7,g\n"]);
    let errors = errors(items);
    assert!(errors[0].contains("row 2: 1 cells where there are 2"), "{errors:?}");
    assert!(errors[1].contains("row 3: 3 cells"), "{errors:?}");
    assert!(errors[2].contains("row 4: not UTF-8"), "{errors:?}");
    let items = read(&folder.write("b.csv", "id,body\n1,a\n"));
    assert!(
        matches!(&items[..], [Err(DocumentError::Column { columns, .. })] if columns == &["id", "body"])
    );
    assert!(read(&folder.write("empty.csv", "")).is_empty());
    assert!(read(&folder.write("names.csv", "id,text")).is_empty());
}

#[test]
fn long_records_are_skipped() {
    let folder = Folder::new();
    let small = Reading { max_document: 100, ..Reading::default() };
    let long = "x".repeat(1000);
    let line = |text: &str| json!({ "text": text }).to_string();
    let lines = [line("a"), line(&long), line("b"), " ".repeat(5000), line("c"), line(&long)];
    let rows = [
        "text,other",
        "a,",
        &format!("{long},"),
        &format!("b,{long}"),
        "c,",
        &format!("\"{long}\","),
        "d,",
    ];
    for (name, content, expected, places) in [
        (
            "a.jsonl",
            lines.join("\n"),
            vec!["a", "b", "c"],
            vec![Place::Line(2), Place::Line(4), Place::Line(6)],
        ),
        // What is not read of a row may be long.
        ("a.csv", rows.join("\n"), vec!["a", "b", "c", "d"], vec![Place::Row(2), Place::Row(5)]),
        ("a.txt", long, vec![], vec![Place::Whole]),
    ] {
        for (packed, bytes) in [
            ("", content.clone().into_bytes()),
            (".gz", gz(content.as_bytes())),
            (".zst", zst(content.as_bytes())),
        ] {
            let items = read_with(&folder.write(&format!("{name}{packed}"), bytes), small.clone());
            assert_eq!(texts(&items), expected, "{name}{packed}");
            let found: Vec<Place> = items
                .into_iter()
                .filter_map(Result::err)
                .map(|error| match error {
                    DocumentError::TooLong { place, limit: 100, .. } => place,
                    other => panic!("{other}"),
                })
                .collect();
            assert_eq!(found, places, "{name}{packed}");
        }
    }
    // As long as the limit is not too long.
    let exact = line(&"x".repeat(100 - line("").len()));
    let items = read_with(
        &folder.write("b.jsonl", format!("{exact}\n{exact}x\n{exact}\r\n{exact}")),
        small,
    );
    let lengths: Vec<bool> = items.iter().map(Result::is_ok).collect();
    assert_eq!(lengths, [true, false, false, true]);
}

/// Half a gigabyte of nothing in some hundred kilobytes, and the record after it.
#[test]
fn bombs_are_not_held_in_memory() {
    let folder = Folder::new();
    let path = folder.path("bomb.jsonl.zst");
    let mut packed = zstd::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    for _ in 0..512 {
        packed.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    packed.write_all(b"\n{\"text\": \"after\"}\n").unwrap();
    packed.finish().unwrap();
    let before = peak_memory();
    let items = read_with(&path, Reading { max_document: 1 << 20, ..Reading::default() });
    assert_eq!(texts(&items), ["after"]);
    assert!(matches!(items[0], Err(DocumentError::TooLong { place: Place::Line(1), .. })));
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(after - before < 256 << 10, "{} KiB more", after - before);
    }
}

/// In KiB, where the system says.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn damaged_packing_gives_what_comes_before() {
    let folder = Folder::new();
    let lines: String =
        (0..20_000).map(|at| format!("{{\"text\": \"{}\"}}\n", at * 7919)).collect();
    for (name, packed) in
        [("a.jsonl.gz", gz(lines.as_bytes())), ("a.jsonl.zst", zst(lines.as_bytes()))]
    {
        let half = &packed[..packed.len() / 2];
        let items = read(&folder.write(name, half));
        let documents = items.iter().filter(|item| item.is_ok()).count();
        assert!((1000..20_000).contains(&documents), "{name}: {documents}");
        assert!(matches!(items.last(), Some(Err(DocumentError::Read { .. }))), "{name}");
        assert_eq!(items.len(), documents + 1, "{name}");
    }
}

#[test]
fn folders_are_walked_by_name() {
    let folder = Folder::new();
    for name in ["b.txt", "a/z.txt", "a/b/c.txt", "c.txt.gz", ".hidden/x.txt", ".y.txt", "skip.txt"]
    {
        folder.write(name, name);
    }
    folder.write(".ignore", "skip.txt\n");
    let items = read(folder.0.path());
    assert_eq!(texts(&items), ["a/b/c.txt", "a/z.txt", "b.txt", "c.txt.gz"]);
    assert_eq!(items.len(), 4);
}

#[test]
fn patterns_find_files() {
    let folder = Folder::new();
    for name in
        ["b.txt", "a.txt", "d/z.txt", "d/b/c.txt", "d/b/c.md", ".y.txt", "lit[1].txt", "lit1.txt"]
    {
        folder.write(name, name);
    }
    folder.write(".ignore", "b.txt\n");
    let found = |pattern: &str| read(&folder.path(pattern));
    assert_eq!(texts(&found("?.txt")), ["a.txt", "b.txt"]);
    assert_eq!(texts(&found("*/*.txt")), ["d/z.txt"]);
    assert_eq!(texts(&found("d/**/*.{txt,md}")), ["d/b/c.md", "d/b/c.txt", "d/z.txt"]);
    assert_eq!(texts(&found("**/*.md")), ["d/b/c.md"]);
    // A file of that name comes first.
    assert_eq!(texts(&found("lit[1].txt")), ["lit[1].txt"]);
    assert_eq!(texts(&found("li?[1].txt")), ["lit1.txt"]);
    for none in ["*.jsonl", "nowhere/*.txt"] {
        assert!(matches!(&found(none)[..], [.., Err(_)]), "{none}");
    }
    assert!(matches!(&found("*.jsonl")[..], [Err(DocumentError::NoMatch { .. })]));
    assert!(matches!(&found("a[")[..], [Err(DocumentError::Pattern { .. })]));
    assert!(matches!(&found("missing.txt")[..], [Err(DocumentError::Read { .. })]));
}

#[test]
fn lists_name_files() {
    let folder = Folder::new();
    let (a, b) = (folder.write("a.txt", "a"), folder.write("d/b.txt", "b"));
    let list =
        format!("{}\r\n\n{}\nmissing\n-\n{}", a.display(), folder.path("d").display(), b.display());
    let list = folder.write("list", list);
    let items: Vec<Item> = documents(sources(vec![b], Some(list)), Reading::default()).collect();
    assert_eq!(texts(&items), ["b", "a", "b", "b"]);
    let errors = errors(items);
    assert!(errors[0].starts_with("missing: ") && errors[1].starts_with("./-: "), "{errors:?}");
    let long = folder.write("long", "x".repeat(1 << 17));
    for (list, says) in [(folder.path("none"), "none: cannot be read"), (long, "is no path")] {
        let items: Vec<_> = sources(vec![], Some(list)).collect();
        assert_eq!(items.len(), 1);
        assert!(items[0].as_ref().unwrap_err().to_string().contains(says), "{items:?}");
    }
}

#[cfg(unix)]
#[test]
fn folders_with_traps_are_walked() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.write("d/a.txt", "a");
    let path = |name: &str| folder.path(name);
    symlink("..", path("d/loop")).unwrap();
    symlink("self", path("d/self")).unwrap();
    symlink("nowhere", path("d/broken")).unwrap();
    symlink("a.txt", path("d/link.txt")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("d/socket")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(path("d/pipe.txt")).status().unwrap();
    assert!(pipe.success());
    for (items, expected) in [(read(&path("d")), ["a", "a"]), (read(&path("**/*")), ["a", "a"])] {
        assert_eq!(texts(&items), expected);
        let errors = errors(items);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].contains("broken") && errors[1].contains("self"), "{errors:?}");
    }
    assert!(read(Path::new("/dev/null"))[0].is_ok());
    let endless =
        read_with(Path::new("/dev/zero"), Reading { max_document: 1 << 20, ..Reading::default() });
    assert!(matches!(&endless[..], [Err(DocumentError::TooLong { .. })]));
}

#[test]
fn many_small_files_are_read() {
    let folder = Folder::new();
    for at in 0..3000 {
        folder.write(&format!("{}/{at}.txt", at % 10), format!("{at}"));
    }
    assert_eq!(good(read(folder.0.path())).len(), 3000);
}

#[test]
fn streams_move_to_other_threads() {
    let folder = Folder::new();
    let path = folder.write("a.jsonl", jsonl());
    let reading = Reading { fields: all_fields(), ..Reading::default() };
    let stream = documents(sources(vec![path], None), reading);
    assert_eq!(std::thread::spawn(move || stream.count()).join().unwrap(), TEXTS.len());
}

#[test]
fn names_tell_forms() {
    for (name, format) in [
        ("a.txt", Some(Format::Text)),
        ("A.JSONL.GZ", Some(Format::Jsonl)),
        ("a.b.csv.zst", Some(Format::Csv)),
        ("a.tsv", Some(Format::Tsv)),
        ("a.gz", None),
        ("jsonl", None),
        ("a", None),
    ] {
        assert_eq!(Format::of(Path::new(name)), format, "{name}");
    }
}

fn table_of<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

/// A batch as parquet and as an arrow stream.
fn both(folder: &Folder, batch: &RecordBatch) -> [PathBuf; 2] {
    let batch = std::slice::from_ref(batch);
    [
        folder.write("t.parquet", parquet_of(batch, WriterProperties::default())),
        folder.write("t.arrow", arrow_of(batch, None, false)),
    ]
}

#[test]
fn nulls_and_ids_of_columns() {
    let folder = Folder::new();
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![Some(-5), Some(6), None]));
    let other: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1.5, 2.5]));
    for (id, expected) in [(integers, ["-5", "3"]), (other, ["1", "3"])] {
        for path in both(&folder, &table_of([("id", id.clone()), ("text", text.clone())])) {
            let items = read(&path);
            let ids: Vec<_> = items.iter().flatten().map(|document| document.id.as_str()).collect();
            let offsets: Vec<_> = items.iter().flatten().map(|document| document.offset).collect();
            assert_eq!((ids, offsets), (expected.to_vec(), vec![0, 2]));
            let error = items[1].as_ref().unwrap_err().to_string();
            assert!(error.contains("row 2: field \"text\" is null, not a text"), "{error}");
        }
    }
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_value([Some(-1)]);
    lists.append_null();
    lists.append_value([Some(3)]);
    let fields = Fields { tokens: Some("ids".into()), ..Fields::default() };
    for path in both(&folder, &table_of([("ids", Arc::new(lists.finish()))])) {
        let items = read_with(&path, Reading { fields: fields.clone(), ..Reading::default() });
        assert_eq!(
            items.iter().map(Result::is_ok).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        assert_eq!(items[3].as_ref().unwrap().content, Content::Tokens(vec![3]));
    }
}

#[test]
fn columns_of_other_kinds_are_refused_once() {
    let folder = Folder::new();
    let numbers: ArrayRef = Arc::new(UInt16Array::from(vec![1; 50]));
    let tokens = Fields { tokens: Some("text".into()), ..Fields::default() };
    for path in both(&folder, &table_of([("text", numbers.clone())])) {
        for (fields, says) in [
            (Fields::default(), "is UInt16, not a text"),
            (tokens.clone(), "not a list of token ids"),
        ] {
            let errors = errors(read_with(&path, Reading { fields, ..Reading::default() }));
            assert!(errors.len() == 1 && errors[0].contains(says), "{errors:?}");
        }
    }
    for path in both(&folder, &table_of([("body", numbers)])) {
        assert!(matches!(&read(&path)[..], [Err(DocumentError::Column { .. })]));
    }
}

#[test]
fn long_cells_are_skipped() {
    let folder = Folder::new();
    let long = "x".repeat(101);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a", &long, "c"]));
    for path in both(&folder, &table_of([("text", text)])) {
        let items = read_with(&path, Reading { max_document: 100, ..Reading::default() });
        assert_eq!(texts(&items), ["a", "c"]);
        assert!(matches!(
            items[1],
            Err(DocumentError::TooLong { place: Place::Row(2), limit: 100, .. })
        ));
    }
}

/// Two gigabytes of rows that repeat one text of eight megabytes.
#[test]
fn repeated_texts_are_held_once() {
    let folder = Folder::new();
    let text = "x".repeat(8 << 20);
    let words = DictionaryArray::<Int8Type>::new(
        vec![0_i8; 250].into(),
        Arc::new(StringArray::from(vec![text.as_str()])),
    );
    let properties = WriterProperties::builder().set_dictionary_page_size_limit(1 << 30).build();
    let batch = table_of([("text", Arc::new(words))]);
    let path = folder.write("a.parquet", parquet_of(&[batch], properties));
    assert!(path.metadata().unwrap().len() < 32 << 20);
    let before = peak_memory();
    let rows = documents(sources(vec![path], None), Reading::default());
    let lengths = rows.map(|row| match row.unwrap().content {
        Content::Text(text) => text.len(),
        Content::Tokens(_) => 0,
    });
    assert_eq!(lengths.filter(|length| *length == 8 << 20).count(), 250);
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(after - before < 512 << 10, "{} KiB more", after - before);
    }
}

#[test]
fn a_damaged_row_group_does_not_stop_the_rest() {
    let folder = Folder::new();
    let texts_of = |at: usize| format!("text number {at} {}", "y".repeat(200));
    let column: ArrayRef = Arc::new(StringArray::from_iter_values((0..9).map(texts_of)));
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(3))
        .set_dictionary_enabled(false);
    let mut bytes = parquet_of(&[table_of([("text", column)])], properties.build());
    let damaged = bytes.windows(13).position(|window| window == b"text number 4").unwrap();
    bytes[damaged] = 0xFF;
    let items = read(&folder.write("a.parquet", bytes));
    let rows: Vec<_> = items.iter().flatten().map(|document| document.id.as_str()).collect();
    assert_eq!(rows, ["1", "2", "3", "7", "8", "9"]);
    assert!(matches!(&errors(items)[..], [error] if error.contains("cannot be read as parquet")));
}

/// Whatever a file holds, reading it ends, and with errors instead of panics.
#[test]
fn damaged_tables_are_errors() {
    let folder = Folder::new();
    let batch = columns().remove(0);
    let parts = std::slice::from_ref(&batch);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let whole = [
        ("a.parquet", parquet_of(parts, properties)),
        ("a.arrow", arrow_of(parts, None, false)),
        ("b.arrow", arrow_of(parts, Some(CompressionType::LZ4_FRAME), true)),
    ];
    let reading = Reading { fields: all_fields(), ..Reading::default() };
    let mut failed = 0;
    for (name, bytes) in whole {
        for at in (0..bytes.len()).step_by(3) {
            for change in [0xFF, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= change;
                let items = read_with(&folder.write(name, damaged), reading.clone());
                assert!(items.len() <= 2 * TEXTS.len(), "{name} {at}: {items:?}");
                failed += items.iter().filter(|item| item.is_err()).count();
            }
        }
        for length in (0..bytes.len()).step_by(37) {
            let items = read_with(&folder.write(name, &bytes[..length]), reading.clone());
            assert!(items.len() <= 2 * TEXTS.len(), "{name} cut to {length}: {items:?}");
        }
    }
    assert!(failed > 300, "{failed}");
}

/// Items with their numbers, from a number on.
fn from(path: &Path, reading: &Reading, begin: u64) -> Vec<(u64, String)> {
    let mut records = Records::open(path, reading);
    records.skip_to(begin);
    let mut items = Vec::new();
    while let Some(item) = records.next() {
        let shown = item.map_or_else(|error| error.to_string(), |document| format!("{document:?}"));
        items.push((records.number(), shown));
    }
    items
}

/// That reading may begin at any number, and gives what reading all gives from there on.
fn assert_seekable(path: &Path, reading: &Reading) {
    let all = from(path, reading, 0);
    assert!(all.is_sorted_by_key(|(number, _)| number), "{path:?}: {all:?}");
    for begin in 1..=all.last().map_or(0, |(number, _)| number + 2) {
        let rest = all.iter().filter(|(number, _)| *number >= begin).cloned().collect::<Vec<_>>();
        assert_eq!(from(path, reading, begin), rest, "{path:?} from {begin}");
    }
}

#[test]
fn reading_may_begin_anywhere() {
    let folder = Folder::new();
    let reading = Reading { fields: all_fields(), ..Reading::default() };
    for form in forms(&folder).into_iter().chain(columnar(&folder)) {
        assert_seekable(&form, &reading);
    }
    let lines = "{\"text\": 1}\n\n{\"text\": \"a\"}\nno json\n  \n{\"text\": \"b\"}";
    let bad = folder.write("bad.jsonl", lines);
    assert_eq!(from(&bad, &Reading::default(), 0).len(), 4);
    assert_seekable(&bad, &Reading::default());
    let torn = gz(jsonl().as_bytes());
    assert_seekable(&folder.write("torn.jsonl.gz", &torn[..torn.len() - 20]), &reading);
    assert_seekable(&folder.write("bad.csv", "text,id\na,1\nb\nc,3\n"), &Reading::default());
    assert_seekable(&folder.path("absent.jsonl"), &Reading::default());
}

/// Ranks that enter a damaged file at other rows must agree on which rows it has.
#[test]
fn reading_damaged_row_groups_may_begin_anywhere() {
    let folder = Folder::new();
    let texts = StringArray::from_iter_values((0..90).map(|at| format!("text {at} {}", at * at)));
    let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_data_page_row_count_limit(5)
        .set_write_batch_size(5)
        .set_max_row_group_row_count(Some(30))
        .build();
    let bytes = parquet_of(&[batch], properties);
    let mut failed = 0;
    for at in (4..bytes.len() * 3 / 4).step_by(41) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xFF;
        let path = folder.write("a.parquet", damaged);
        assert_seekable(&path, &Reading::default());
        failed += usize::from(errors(read(&path)).len() == 1);
    }
    assert!(failed > 10, "{failed}");
}
