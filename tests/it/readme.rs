//! The README's commands, run in order in a fresh folder as a newcomer would.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::cli::Home;

#[test]
fn every_command_of_the_readme_works() {
    let readme = include_str!("../../README.md");
    let blocks: Vec<&str> =
        readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let (cargo, guide): (Vec<&str>, Vec<&str>) =
        blocks.iter().partition(|block| block.contains("cargo "));
    assert_eq!((cargo.len(), guide.len()), (1, 12), "CI runs the cargo block itself");
    let home = Home::new();
    // The repository's own files are named from its root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(root.join("experiments"), home.path("experiments")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_touchmark")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    for block in guide {
        let block = block.replace("8080", &port);
        let output = Command::new("sh")
            .args(["-euxc", &block])
            .current_dir(home.path(""))
            .env("PATH", &path)
            .env("TOUCHMARK_HOME", home.path("home"))
            .env("TOUCHMARK_PORT", &port)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}\n{error}");
        let said = String::from_utf8_lossy(&output.stdout);
        if block.contains("fingerprint compare") {
            assert!(said.contains("RELATED") && said.contains("NOT SHOWN"), "{block}\n{said}");
            assert!(said.contains("The bundle is valid."), "{block}\n{said}");
        }
        if block.contains("detect marked.txt") {
            assert!(said.contains(" detected"), "{block}\n{said}");
        }
    }
}

/// Enough documents to fill the pipes both ways, one of them marked; then documents that fail half way, and a wrong flag.
const RECIPE: &str = r#"
from detect import detect
import sys
marked = open("marked.txt").read()
texts = ["A plain text. \u00e9" * 40, marked]
rows = list(detect({"id": f"d{n}", "text": texts[n == 700]} for n in range(3000)))
assert [row["id"] for row in rows] == [f"d{n}" for n in range(3000)]
assert [row["id"] for row in rows if row["verdict"] == "detected"] == ["d700"]
def broken():
    yield {"id": "a", "text": "x"}
    raise KeyError("broken")
for documents, flags, error in [(broken(), [], KeyError), ([], ["--profile", "none"], RuntimeError)]:
    try:
        list(detect(documents, *flags))
        sys.exit("no error")
    except error:
        pass
"#;

#[test]
fn the_python_recipe_gives_the_rows() {
    let home = Home::new();
    let marked =
        home.ok(&["generate", "-p", "The ship came in", "--max-tokens", "300", "--ignore-eos"]);
    home.write("marked.txt", marked);
    let program = Path::new(env!("CARGO_BIN_EXE_touchmark")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let run = Command::new("python3")
        .args(["-c", RECIPE])
        .current_dir(home.path(""))
        .env("PATH", &path)
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TOUCHMARK_HOME", home.path("home"))
        .output();
    let Ok(output) = run else {
        println!("skipped: there is no python3 here");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
