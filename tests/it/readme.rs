//! The README's commands, run in order in a fresh folder as a newcomer would.

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
    assert_eq!((cargo.len(), guide.len()), (1, 7), "CI runs the cargo block itself");
    let home = Home::new();
    let program = Path::new(env!("CARGO_BIN_EXE_touchmark")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for block in guide {
        let output = Command::new("sh")
            .args(["-euxc", block])
            .current_dir(home.path(""))
            .env("PATH", &path)
            .env("TOUCHMARK_HOME", home.path("home"))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}\n{error}");
        let said = String::from_utf8_lossy(&output.stdout);
        if block.contains("detect marked.txt") {
            assert!(said.contains(" detected"), "{block}\n{said}");
        }
    }
}
