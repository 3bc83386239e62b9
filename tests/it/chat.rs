//! Chat templates against transformers (`golden/chat.json`, made by `golden/chat.py`).

use std::path::Path;

use serde_json::Value;
use touchmark::tokenizer::{ChatError, ChatTemplate, RenderOptions};

/// What a template made of a conversation.
#[derive(Debug, PartialEq)]
enum Outcome {
    Text(String),
    /// The template's own refusal, or `None` for any other failure.
    Refused(Option<String>),
}

fn expected(rendered: &Value) -> Outcome {
    match rendered.as_str() {
        Some(text) => Outcome::Text(text.to_owned()),
        None => Outcome::Refused(rendered["error"].as_str().map(str::to_owned)),
    }
}

fn outcome(result: Result<String, ChatError>) -> Outcome {
    match result {
        Ok(text) => Outcome::Text(text),
        Err(ChatError::Refused(message)) => Outcome::Refused(Some(message)),
        Err(_) => Outcome::Refused(None),
    }
}

fn options(given: &Value, now: &Value) -> RenderOptions {
    let mut variables = given.as_object().unwrap().clone();
    let mut list = |name: &str| variables.remove(name).map(|list| list.as_array().unwrap().clone());
    let (tools, documents) = (list("tools"), list("documents"));
    let mut flag =
        |name: &str, default| variables.remove(name).map_or(default, |flag| flag == true);
    RenderOptions {
        tools,
        documents,
        add_generation_prompt: flag("add_generation_prompt", true),
        continue_final_message: flag("continue_final_message", false),
        variables,
        now: Some(now.as_str().unwrap().parse().unwrap()),
    }
}

/// How many renderings of a golden file are the same here, and a line for each that is not.
fn compare(golden: &Value, folder: &Path) -> (usize, Vec<String>) {
    let (mut same, mut different) = (0, Vec::new());
    for (name, rendered) in golden["rendered"].as_object().unwrap() {
        let source = std::fs::read_to_string(folder.join(format!("{name}.jinja"))).unwrap();
        for (case, rendered) in rendered.as_object().unwrap() {
            match difference(golden, &source, case, rendered) {
                None => same += 1,
                Some(found) => different.push(format!("{name} / {case}:\n{found}")),
            }
        }
    }
    (same, different)
}

/// How a template's rendering of a case differs from the expected one.
fn difference(golden: &Value, source: &str, case: &str, rendered: &Value) -> Option<String> {
    let given = &golden["cases"][case];
    let options = options(&given["options"], &golden["now"]);
    let messages = given["messages"].as_array().unwrap();
    let made = ChatTemplate::from_config(&golden["tokens"].to_string(), Some(source))
        .and_then(|template| template.render(messages, &options));
    let why = made.as_ref().err().map(ToString::to_string);
    let (made, expected) = (outcome(made), expected(rendered));
    (made != expected).then(|| format!("  {made:?} {why:?}\n  {expected:?}"))
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/chat.json")).unwrap()
}

#[test]
fn templates_render_as_in_transformers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/chat");
    let (same, different) = compare(&golden(), &folder);
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    assert!(same >= 340, "only {same} renderings were compared");
}

#[test]
fn each_feature_renders_as_in_transformers() {
    let golden = golden();
    let snippets = golden["snippets"].as_array().unwrap();
    assert!(snippets.len() >= 80, "{}", snippets.len());
    let differ = snippets.iter().filter_map(|snippet| {
        let source = snippet[0].as_str().unwrap();
        difference(&golden, source, "user", &snippet[1]).map(|found| format!("{source}\n{found}"))
    });
    let differ: Vec<String> = differ.collect();
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}

/// Templates of models people use cannot be kept here. With TOUCHMARK_CHAT_TEMPLATES set to a folder that holds them
/// and a `rendered.json` made by `golden/chat.py FOLDER FOLDER/rendered.json`, they are compared too.
#[test]
fn published_templates_render_as_in_transformers() {
    let Some(folder) = std::env::var_os("TOUCHMARK_CHAT_TEMPLATES") else {
        println!("skipped: TOUCHMARK_CHAT_TEMPLATES names no folder of templates");
        return;
    };
    let folder = Path::new(&folder);
    let file = std::fs::read_to_string(folder.join("rendered.json")).unwrap();
    let (same, different) = compare(&serde_json::from_str(&file).unwrap(), folder);
    println!("{same} the same, {} different", different.len());
    assert!(different.is_empty(), "{same} the same; different:\n{}", different.join("\n"));
}

fn ask(template: &str) -> Result<String, ChatError> {
    let messages = [serde_json::json!({ "role": "user", "content": "Hello" })];
    ChatTemplate::new(template.to_owned(), "<s>", "</s>")?
        .render(&messages, &RenderOptions::default())
}

/// A template comes with a model, from anywhere: it may not take the machine with it.
#[test]
fn a_hostile_template_comes_to_an_end() {
    let doubling = |step: &str| {
        format!(
            "{{% set n = namespace(x='ab', l=[1]) %}}{{% for i in range(99) %}}{step}{{% endfor %}}"
        )
    };
    let steps = [
        "{% set n.x = n.x ~ n.x %}",
        "{% set n.x = n.x + n.x %}",
        "{% set n.x = n.x * 9 %}",
        "{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = n.x|replace('a', n.x) %}",
        "{% set n.x = [n.x, n.x]|join %}",
        "{% set n.x = n.x.replace('a', 'aa') %}{% set n.x = n.x.join([n.x, n.x]) %}",
        "{% set n.l = n.l + n.l %}",
        "{% set n.l = n.l * 4 %}",
        "{% set n.l = [n.l, n.l] %}",
        "{% set n.x = '%s%s' % (n.x, n.x) %}",
        "{% set n.x = n.x|indent(9999) ~ n.x.center(99999999) ~ n.x.zfill(99999999) %}",
    ];
    let mut hostile: Vec<String> = steps.map(doubling).into();
    let loops = "{% for i in range(99999) %}".repeat(3) + "x" + &"{% endfor %}".repeat(3);
    hostile.extend([
        loops.clone(),
        format!("{{% set t %}}{loops}{{% endset %}}"),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".into(),
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".into(),
        "{{ '%999999999d' % 1 }}".into(),
        "{{ '{:999999999}'.format(1) }}".into(),
        "{{ 'a' * 99999999999999 }}".into(),
        "{{ range(999999999)|list }}".into(),
        "{% set n = namespace() %}{% set n.n = n %}{{ n }}".into(),
        "{% set n = namespace() %}{% set n.l = [n] %}{{ n == n.l }}".into(),
        "{{ strftime_now('%9999999999d') }}{{ strftime_now('%') }}{{ 1/0 }}".into(),
        "{% include 'default' %}".into(),
        format!("{{{{ {}1{} }}}}", "[".repeat(9999), "]".repeat(9999)),
        format!("{{{{ {}1 }}}}", "-".repeat(9999)),
        format!("{{{{ {}1 }}}}", "not ".repeat(9999)),
        "{% if true %}".repeat(9999),
        "{{ x[1:2:3:4] }}{{ 9999999999999999999999999999999999999999999 }}".into(),
    ]);
    for template in &hostile {
        let error = ask(template).expect_err(template);
        assert!(!error.to_string().is_empty(), "{template}");
    }
}

/// Arithmetic at its edges is an error or a number, never a panic.
#[test]
fn edges_of_numbers_do_not_panic() {
    let big = "170141183460469231731687303715884105727";
    for expression in [
        format!("{big} + 1"),
        format!("-{big} - 2"),
        format!("{big} * {big}"),
        format!("(-{big} - 1) // -1"),
        format!("(-{big} - 1) % -1"),
        format!("'abc'[{big}:-{big}:{big}]"),
        format!("'abc'[::-{big}]"),
        "'abc'[9223372036854775807:]".into(),
        "1 % 0".into(),
        "2 ** 9999".into(),
        "1e308 * 10 % 3".into(),
        "'x'.find('x', -9223372036854775808)".into(),
        "''.center(-5)".into(),
        "[1]|batch(0)|list".into(),
        "[1]|slice(0)|list".into(),
        "'a'.split('')".into(),
        "'é'.partition('')".into(),
        "1.5|round(-400)".into(),
        "'1'|int(base=99)".into(),
        "range(1, 2, 0)".into(),
        "range(-9223372036854775807, 9223372036854775807, -1)".into(),
        "range(-9223372036854775807, 9223372036854775807)".into(),
        "-(-9223372036854775807 - 1)".into(),
    ] {
        let _ = ask(&format!("{{{{ {expression} }}}}"));
    }
}

#[test]
fn errors_name_the_line_and_the_template() {
    let cases = [
        ("a\n{{ b c }}", "line 2 of"),
        ("a\n\n{{ messages[0] + 1 }}", "line 3 of"),
        ("{% for m in messages %}\n{% if m.x.y %}{% endif %}{% endfor %}", "line 2 of"),
        ("{{ raise_exception('be kind') }}", "refuses these messages: be kind"),
        ("{% if true %}", "is not jinja"),
    ];
    for (template, part) in cases {
        let error = ask(template).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(matches!(ChatTemplate::from_config("{}", None), Err(ChatError::None)));
    assert!(matches!(ChatTemplate::from_config("{", None), Err(ChatError::Config(_))));
    let empty =
        ChatTemplate::new("x".into(), "", "").unwrap().render(&[], &RenderOptions::default());
    assert!(matches!(empty, Err(ChatError::Empty)));
}

#[test]
fn named_templates_are_picked_as_in_transformers() {
    let config = r#"{"bos_token": {"content": "<b>"}, "pad_token": "<p>", "chat_template": [
        {"name": "default", "template": "{{ bos_token }}d{{ pad_token }}"},
        {"name": "tool_use", "template": "t{{ tools|length }}"}]}"#;
    let messages = [serde_json::json!({ "role": "user", "content": "x" })];
    let tools = RenderOptions { tools: Some(Vec::new()), ..RenderOptions::default() };
    let template = ChatTemplate::from_config(config, None).unwrap();
    assert_eq!(template.render(&messages, &RenderOptions::default()).unwrap(), "<b>d<p>");
    assert_eq!(template.render(&messages, &tools).unwrap(), "t0");
    // A file beside the configuration takes the place of all its templates.
    let template = ChatTemplate::from_config(config, Some("f")).unwrap();
    assert_eq!(template.render(&messages, &tools).unwrap(), "f");
    let rag = [("rag".to_owned(), "r".to_owned())];
    let error = ChatTemplate::from_files(config, None, &rag).unwrap().render(&messages, &tools);
    assert!(matches!(error, Err(ChatError::NoDefault(_))));
}

/// Templates cut off, or with a piece missing, are errors or other templates.
#[test]
fn broken_templates_do_not_panic() {
    let golden = golden();
    let snippets = golden["snippets"].as_array().unwrap().iter();
    let mut broken = 0;
    for source in snippets.map(|snippet| snippet[0].as_str().unwrap()) {
        let cuts: Vec<usize> = source.char_indices().map(|(at, _)| at).collect();
        for (index, &at) in cuts.iter().enumerate() {
            let later = cuts.get(index + 3).copied().unwrap_or(source.len());
            for text in [source[..at].to_owned(), source[..at].to_owned() + &source[later..]] {
                broken += usize::from(ask(&text).is_err());
            }
        }
    }
    assert!(broken > 5_000, "only {broken} were refused");
}
