//! `/docs`: the OpenAPI document as a page for people, written by the server.

use std::fmt::Write;

use serde_json::Value;

/// The page of an OpenAPI document: operations by path, with their parameters, bodies and responses, then the schemas.
///
/// What the document lacks is left out.
pub fn docs(document: &Value) -> String {
    let mut page = Page { document, html: String::new() };
    page.write();
    page.html
}

struct Page<'a> {
    document: &'a Value,
    html: String,
}

impl Page<'_> {
    fn write(&mut self) {
        let info = &self.document["info"];
        let title = word(info, "title").unwrap_or("Server");
        self.push(format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{0}: HTTP interface</title>\n\
             <link rel=\"icon\" href=\"/assets/icon.svg\">\n<link rel=\"stylesheet\" href=\"/assets/page.css\">\n</head>\n<body>\n\
             <header>\n<h1>{0}: HTTP interface</h1>\n",
            Text(title)
        ));
        let version = word(info, "version").map(|version| format!("Version {version}. "));
        self.push(format_args!(
            "<p class=\"note\">{}The same for programs: <a href=\"/openapi.json\">openapi.json</a>.</p>\n",
            Text(&version.unwrap_or_default())
        ));
        self.paragraphs(word(info, "description").unwrap_or_default());
        self.contents();
        self.html.push_str("</header>\n<main>\n<section id=\"operations\">\n<h2>Operations</h2>\n");
        for operation in operations(self.document) {
            self.operation(&operation);
        }
        self.html.push_str("</section>\n");
        self.schemas();
        self.html.push_str("</main>\n</body>\n</html>\n");
    }

    fn push(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.html.write_fmt(what);
    }

    fn paragraphs(&mut self, words: &str) {
        for paragraph in words.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
            self.push(format_args!("<p>{}</p>\n", Prose(paragraph.trim())));
        }
    }

    fn contents(&mut self) {
        self.html.push_str("<nav aria-label=\"Operations\">\n<ul class=\"contents\">\n");
        for operation in operations(self.document) {
            self.push(format_args!(
                "<li><a href=\"#{}\"><code>{} {}</code></a> {}</li>\n",
                operation.anchor(),
                operation.method,
                Text(operation.path),
                Prose(word(operation.object, "summary").unwrap_or_default().trim_end_matches('.'))
            ));
        }
        self.html.push_str("</ul>\n</nav>\n");
    }

    fn operation(&mut self, operation: &Operation<'_>) {
        let object = operation.object;
        self.push(format_args!(
            "<article class=\"operation\" id=\"{}\">\n<h3><code>{} {}</code></h3>\n",
            operation.anchor(),
            operation.method,
            Text(operation.path)
        ));
        self.paragraphs(word(object, "summary").unwrap_or_default());
        self.paragraphs(word(object, "description").unwrap_or_default());
        self.parameters(object);
        if let Some(content) = object["requestBody"]["content"].as_object() {
            self.html.push_str("<h4>Body</h4>\n<ul>\n");
            for (kind, body) in content {
                let (shape, about) =
                    (shape(&body["schema"]), word(&object["requestBody"], "description"));
                self.push(format_args!(
                    "<li><code>{}</code>: {shape}{}</li>\n",
                    Text(kind),
                    after(about)
                ));
            }
            self.html.push_str("</ul>\n");
        }
        self.responses(object);
        self.html.push_str("</article>\n");
    }

    fn parameters(&mut self, object: &Value) {
        let Some(parameters) = object["parameters"].as_array().filter(|all| !all.is_empty()) else {
            return;
        };
        self.html.push_str("<h4>Parameters</h4>\n<ul>\n");
        for parameter in parameters {
            self.push(format_args!(
                "<li><code>{}</code> ({}): {}{}</li>\n",
                Text(word(parameter, "name").unwrap_or_default()),
                Text(word(parameter, "in").unwrap_or_default()),
                shape(&parameter["schema"]),
                after(word(parameter, "description"))
            ));
        }
        self.html.push_str("</ul>\n");
    }

    fn responses(&mut self, object: &Value) {
        let Some(responses) = object["responses"].as_object() else { return };
        self.html.push_str("<h4>Responses</h4>\n<ul>\n");
        for (status, response) in responses {
            self.push(format_args!(
                "<li><code>{}</code> {}",
                Text(status),
                Prose(word(response, "description").unwrap_or_default())
            ));
            for (kind, body) in response["content"].as_object().into_iter().flatten() {
                self.push(format_args!(
                    "; <code>{}</code>: {}",
                    Text(kind),
                    shape(&body["schema"])
                ));
            }
            self.html.push_str("</li>\n");
        }
        self.html.push_str("</ul>\n");
    }

    fn schemas(&mut self) {
        let document = self.document;
        let Some(schemas) = document["components"]["schemas"].as_object() else { return };
        self.html.push_str("<section id=\"schemas\">\n<h2>Objects</h2>\n");
        for (name, schema) in schemas {
            self.push(format_args!(
                "<article class=\"operation\" id=\"schema-{0}\">\n<h3><code>{0}</code></h3>\n",
                Text(name)
            ));
            self.paragraphs(word(schema, "description").unwrap_or_default());
            self.schema(schema);
            self.html.push_str("</article>\n");
        }
        self.html.push_str("</section>\n");
    }

    fn schema(&mut self, schema: &Value) {
        for part in ["oneOf", "anyOf", "allOf"] {
            for (number, variant) in (1..).zip(schema[part].as_array().into_iter().flatten()) {
                if variant["properties"].is_object() || variant["allOf"].is_array() {
                    let title = if part == "allOf" { "" } else { "Form " };
                    if !title.is_empty() {
                        self.push(format_args!("<h4>{title}{number}</h4>\n"));
                    }
                    self.paragraphs(word(variant, "description").unwrap_or_default());
                    self.schema(variant);
                } else {
                    self.push(format_args!("<p>{}</p>\n", shape(variant)));
                }
            }
        }
        let Some(fields) = schema["properties"].as_object() else {
            if schema["enum"].is_array() || schema["type"].is_string() {
                self.push(format_args!("<p>{}</p>\n", shape(schema)));
            }
            return;
        };
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.html.push_str("<dl class=\"fields\">\n");
        for (name, field) in fields {
            let optional = if required.contains(&name.as_str()) { "" } else { ", may be missing" };
            self.push(format_args!(
                "<dt><code>{}</code> <span class=\"note\">{}{optional}</span></dt><dd>{}</dd>\n",
                Text(name),
                shape(field),
                Prose(told(field))
            ));
        }
        self.html.push_str("</dl>\n");
    }
}

/// One method of one path.
struct Operation<'a> {
    method: String,
    path: &'a str,
    object: &'a Value,
}

impl Operation<'_> {
    fn anchor(&self) -> String {
        let path: String =
            self.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{}{path}", self.method.to_lowercase())
    }
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            METHODS.iter().filter_map(move |method| {
                let object = item.get(method)?;
                Some(Operation { method: method.to_uppercase(), path, object })
            })
        })
        .collect()
}

/// What a value looks like, in a few words of HTML.
fn shape(schema: &Value) -> String {
    if let Some(name) = word(schema, "$ref").and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\"><code>{0}</code></a>", Text(name));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().map(|value| format!("<code>{}</code>", Text(&plain(value)))).collect();
        return format!("one of {}", values.join(", "));
    }
    for part in ["oneOf", "anyOf", "allOf"] {
        if let Some(variants) = schema[part].as_array() {
            let variants: Vec<String> = variants.iter().map(shape).collect();
            return variants.join(if part == "allOf" { " with " } else { " or " });
        }
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let name = |name: &str| match name {
        "array" => format!("list of {}", shape(&schema["items"])),
        name => Text(name).to_string(),
    };
    let names: Vec<String> = names.into_iter().map(name).collect();
    if names.is_empty() { "any value".to_owned() } else { names.join(" or ") }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn word<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field)?.as_str()
}

fn after(words: Option<&str>) -> String {
    words
        .filter(|words| !words.is_empty())
        .map_or_else(String::new, |words| format!(". {}", Prose(words)))
}

/// What is said of a field: by itself, or by one of its forms.
fn told(field: &Value) -> &str {
    let forms = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|part| field[part].as_array());
    let of_form = || forms.flatten().find_map(|form| word(form, "description"));
    word(field, "description").or_else(of_form).unwrap_or_default()
}

/// Text in which what stands between backquotes is code.
struct Prose<'a>(&'a str);

impl std::fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, part) in self.0.split('`').enumerate() {
            match number % 2 {
                0 => write!(f, "{}", Text(part))?,
                _ => write!(f, "<code>{}</code>", Text(part))?,
            }
        }
        Ok(())
    }
}

/// Text between tags or in a quoted attribute.
struct Text<'a>(&'a str);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}
