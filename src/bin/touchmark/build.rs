//! Says whether the bundled models are there to be built in: a packaged crate leaves them out for size.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(bundled_models)");
    println!("cargo::rerun-if-changed=models");
    if std::env::var_os("CARGO_FEATURE_BUNDLED").is_none() {
        return;
    }
    if ["scribe-16m", "scribe-16m-chat"]
        .iter()
        .all(|name| std::path::Path::new("models").join(name).join("model.safetensors").exists())
    {
        println!("cargo::rustc-cfg=bundled_models");
    } else {
        println!(
            "cargo::warning=models/ has no weights: this build has no bundled model; build from the repository for one"
        );
    }
}
