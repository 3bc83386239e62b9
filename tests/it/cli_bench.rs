//! `bench` as a user runs it.

use std::path::Path;

use serde_json::Value;

use super::cli::Home;
use super::report::stands_alone;

/// The small plan of the project against what it gave before. Texts of another kind of processor may differ in single words, so a share
/// may differ by two texts of 16 and a median by a quarter and one unit; on one machine all is the same.
#[test]
fn the_small_plan_gives_what_it_gave() {
    let home = Home::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plan = root.join("experiments/harness/small.toml");
    let plan = plan.to_str().unwrap();
    let out = home.ok(&["bench", "run", plan, "-o", "small"]);
    for part in
        ["Power", "Size", "Quality", "Human text that alarms", "gumbel h=4", "copy-paste 0.5"]
    {
        assert!(out.contains(part), "{part} in {out}");
    }
    let read =
        |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let now = read(&home.path("small/results.json"));
    let before = read(&root.join("experiments/harness/small.json"));
    assert_eq!(now["made_with"], before["made_with"]);
    assert_eq!(now["plan"], before["plan"]);
    let rows = |all: &Value, table: &str| all["results"][table].as_array().unwrap().clone();
    let number = |row: &Value, field: &str| row[field].as_f64().unwrap();
    for (now, before) in rows(&now, "power").iter().zip(rows(&before, "power")) {
        for field in ["scheme", "detector", "attack", "strength", "tokens"] {
            assert_eq!(now[field], before[field]);
        }
        let medians = [now, &before].map(|row| number(row, "median_log10_p"));
        assert!((medians[0] - medians[1]).abs() <= 0.25 * medians[1].abs() + 1.0, "{now} {before}");
        for (now, before) in
            now["levels"].as_array().unwrap().iter().zip(before["levels"].as_array().unwrap())
        {
            let [now, before] = [now, before].map(|level| number(&level["found"], "rate"));
            assert!((now - before).abs() <= 2.0 / 16.0 + 1e-9, "{now} {before}");
        }
    }
    for (now, before) in rows(&now, "quality").iter().zip(rows(&before, "quality")) {
        let losses = [now, &before].map(|row| number(&row["mean"], "loss"));
        assert!((losses[0] - losses[1]).abs() < 0.2, "{now} {before}");
    }
    for row in rows(&now, "calibration") {
        assert_eq!(row["exceeds"], false, "{row}");
    }

    // A second run finds the texts written, and measures the same.
    home.ok(&["bench", "run", plan, "-o", "small"]);
    let again = read(&home.path("small/results.json"));
    for table in ["power", "size", "quality", "calibration"] {
        assert_eq!(rows(&again, table), rows(&now, table), "{table}");
    }
    assert_eq!(again["results"]["cost"][1]["writing_ratio"], Value::Null);

    home.ok(&["bench", "report", "small", "-o", "page.html", "--tables", "tables"]);
    let page = std::fs::read_to_string(home.path("page.html")).unwrap();
    stands_alone(&page);
    for part in ["Benchmark report", "kgw h=2", "How it was measured", "<svg"] {
        assert!(page.contains(part), "{part}");
    }
    let power = std::fs::read_to_string(home.path("tables/power.csv")).unwrap();
    // Three schemes, two detectors, two rates; two lengths with four ways of treating texts, and rewriting at the greatest.
    assert_eq!(power.lines().count(), 1 + 3 * 2 * 2 * (2 * 4 + 1));
    let picture = std::fs::read_to_string(home.path("tables/power-1.svg")).unwrap();
    assert!(picture.starts_with("<svg xmlns="), "{}", &picture[..80]);
}

/// Who has texts of a mark with one list for all can write others that are taken for marked.
#[test]
fn what_can_be_stolen_is_told() {
    let home = Home::new();
    let human = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/human.jsonl");
    let plan = format!(
        "texts = 2\nlengths = [60]\nfpr = [1e-3]\nhuman = {human:?}\n[[scheme]]\nname = \"unigram\"\n\
         spec = {{ scheme = \"unigram\", delta = 4.0 }}\n[stealing]\nqueries = [1, 12]\ntexts = 4\ncontext_width = 0\n"
    );
    home.write("plan.toml", plan);
    let out = home.ok(&["bench", "run", "plan.toml", "-o", "out"]);
    assert!(out.contains("Stealing"), "{out}");
    let results: Value =
        serde_json::from_slice(&std::fs::read(home.path("out/results.json")).unwrap()).unwrap();
    let rows = results["results"]["stealing"].as_array().unwrap();
    assert_eq!(
        rows.iter().map(|row| row["queries"].as_u64().unwrap()).collect::<Vec<_>>(),
        [1, 12]
    );
    let spoofed = rows[1]["spoofed"][0]["found"]["hits"].as_u64().unwrap();
    assert!(spoofed >= 3, "{}", rows[1]);
}

/// A sign after every token gives a mark that reads the tokens before another context, and one list for all the same.
#[test]
fn signs_taken_out_take_contexts_with_them() {
    let home = Home::new();
    let human = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/human.jsonl");
    let plan = format!(
        "texts = 4\nlengths = [100]\nfpr = [1e-3]\nhuman = {human:?}\n[[scheme]]\nname = \"kgw\"\nspec = {{ scheme = \"kgw\" }}\n\
         [[scheme]]\nname = \"unigram\"\nspec = {{ scheme = \"unigram\" }}\n[[sampling]]\nname = \"plain\"\n\
         [[sampling]]\nname = \"signs\"\ninserted = {{ text = \"*\", every = 1 }}\n"
    );
    home.write("plan.toml", plan);
    home.ok(&["bench", "run", "plan.toml", "-o", "out"]);
    let results: Value =
        serde_json::from_slice(&std::fs::read(home.path("out/results.json")).unwrap()).unwrap();
    let found = |scheme: &str, sampling: &str| {
        let rows = results["results"]["power"].as_array().unwrap();
        let is_it = |row: &&Value| row["scheme"] == scheme && row["sampling"] == sampling;
        rows.iter().find(is_it).unwrap()["levels"][0]["found"]["hits"].as_u64().unwrap()
    };
    assert_eq!((found("kgw", "plain"), found("kgw", "signs")), (4, 0));
    assert!(found("unigram", "signs") >= 3);
    for file in std::fs::read_dir(home.path("out/texts")).unwrap() {
        let texts = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let mut lengths = texts.lines().map(|ids| ids.split(',').count());
        assert!(lengths.all(|length| length == 100));
    }
}

/// A plan may bring its own prompts, to be continued or answered, and texts of one way are not those of another.
#[test]
fn prompts_are_continued_or_answered() {
    let home = Home::new();
    let human = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/human.jsonl");
    home.write(
        "asked.jsonl",
        "{\"prompt\": \"The lamp went out and\"}\n{\"prompt\": \"Bread was dear\"}\n",
    );
    let plan = |texts: usize, chat: bool| {
        home.write("plan.toml", format!(
            "texts = {texts}\nlengths = [20]\nhuman = {human:?}\nmodel = \"bundled-chat\"\n\
             prompts = {{ file = \"asked.jsonl\", chat = {chat} }}\n[[scheme]]\nname = \"kgw\"\nspec = {{ scheme = \"kgw\" }}\n"
        ));
    };
    let files = || std::fs::read_dir(home.path("out/texts")).unwrap().count();
    plan(2, false);
    home.ok(&["bench", "run", "plan.toml", "-o", "out"]);
    assert_eq!(files(), 2);
    plan(2, true);
    home.ok(&["bench", "run", "plan.toml", "-o", "out"]);
    assert_eq!(files(), 4);
    plan(3, true);
    home.refused(&["bench", "run", "plan.toml", "-o", "out"], &["3 prompts", "2"]);
    home.write("asked.jsonl", "{\"question\": \"Why?\"}\n");
    home.refused(&["bench", "run", "plan.toml", "-o", "out"], &["prompts of the plan", "prompt"]);
}

#[test]
fn bad_plans_are_refused() {
    let home = Home::new();
    let good = "texts = 2\nlengths = [20]\nhuman = \"h.jsonl\"\n[[scheme]]\nname = \"a\"\nspec = { scheme = \"kgw\" }\n";
    let refused = |plan: &str, parts: &[&str]| {
        home.write("plan.toml", plan);
        home.refused(&["bench", "run", "plan.toml", "-o", "out"], parts);
    };
    refused("texts = ", &["plan.toml", "no plan"]);
    refused(&good.replace("texts", "text"), &["unknown field `text`"]);
    refused(&good.replace("[20]", "[20, 10]"), &["lengths"]);
    refused(&good.replace("\"kgw\"", "\"kgv\""), &["kgv"]);
    refused(good, &["h.jsonl", "human text"]);
    home.write("h.jsonl", "{\"text\": \"too short\"}\n");
    refused(good, &["pieces of 36 tokens", "fewer texts"]);
    let other = good.replace("human =", "human_field = \"answer\"\nhuman =");
    refused(&other, &["answer"]);
    let pinned = good.replace("human =", "human_blake3 = \"00\"\nhuman =");
    refused(&pinned, &["BLAKE3", "not comparable"]);
    refused(
        &good.replace("texts = 2", "texts = 2\nmodel = \"no/such/folder\""),
        &["no/such/folder"],
    );
    home.write("other.json", "{\"schema\": 9}");
    home.refused(&["bench", "report", "other.json", "-o", "page.html"], &["schema 9"]);
    home.write("other.json", "[1]");
    home.refused(&["bench", "report", "other.json", "-o", "page.html"], &["no result"]);
}
