//! A model's own chat template: messages to the text of a prompt.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as Argument};
use minijinja::{Environment, Error, ErrorKind, context};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user` or `assistant`; what a template knows is its own affair.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// The template of a `tokenizer_config.json`.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// Reads the template from the text of a `tokenizer_config.json`; `file` is the text of a `chat_template.jinja`
    /// beside it, which wins.
    ///
    /// # Errors
    /// [`ChatError`]: no template there, or one that does not parse.
    pub fn from_config(config: &str, file: Option<&str>) -> Result<Self, ChatError> {
        let config: Value = serde_json::from_str(config).map_err(ChatError::Config)?;
        let template = match (file, &config["chat_template"]) {
            (Some(file), _) => file.to_owned(),
            (None, Value::String(template)) => template.clone(),
            (None, Value::Array(named)) => named_default(named).ok_or(ChatError::None)?,
            _ => return Err(ChatError::None),
        };
        Ok(Self {
            environment: environment(template).map_err(ChatError::Template)?,
            bos_token: token(&config["bos_token"]),
            eos_token: token(&config["eos_token"]),
        })
    }

    /// A template from its text, with the texts of the tokens that begin and end a conversation.
    ///
    /// # Errors
    /// [`ChatError::Template`] when it does not parse.
    pub fn new(template: &str, bos: &str, eos: &str) -> Result<Self, ChatError> {
        Ok(Self {
            environment: environment(template.to_owned()).map_err(ChatError::Template)?,
            bos_token: bos.to_owned(),
            eos_token: eos.to_owned(),
        })
    }

    /// Renders a conversation up to where the assistant speaks.
    ///
    /// # Errors
    /// [`ChatError::Template`] when the template refuses the messages.
    pub fn render(&self, messages: &[Message]) -> Result<String, ChatError> {
        let template = self.environment.get_template("chat").map_err(ChatError::Template)?;
        let messages = Argument::from(Serde(messages));
        let (bos_token, eos_token) = (self.bos_token.as_str(), self.eos_token.as_str());
        template
            .render(context! { messages, add_generation_prompt => true, bos_token, eos_token })
            .map_err(ChatError::Template)
    }
}

/// Puts system messages at the head of the first user turn, for models that know no system role.
pub fn fold_system(messages: &[Message]) -> Vec<Message> {
    let (system, mut rest): (Vec<Message>, Vec<Message>) =
        messages.iter().cloned().partition(|message| message.role == "system");
    let mut head: Vec<String> = system.into_iter().map(|message| message.content).collect();
    if let Some(first) = rest.iter_mut().find(|message| message.role == "user")
        && !head.is_empty()
    {
        head.push(std::mem::take(&mut first.content));
        first.content = head.join("\n\n");
    }
    rest
}

fn environment(template: String) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    // As transformers sets up jinja2, and with the methods of Python's strings and lists that templates call.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_template_owned("chat", template)?;
    Ok(environment)
}

/// The template called `default` in a list of named ones.
fn named_default(named: &[Value]) -> Option<String> {
    let default = named.iter().find(|entry| entry["name"] == "default")?;
    default["template"].as_str().map(str::to_owned)
}

/// A special token is text, or an object that holds it.
fn token(value: &Value) -> String {
    value.as_str().or_else(|| value["content"].as_str()).unwrap_or_default().to_owned()
}

/// Why a conversation could not become a prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// Not JSON.
    #[error("tokenizer_config.json is not JSON")]
    Config(#[source] serde_json::Error),
    /// No template.
    #[error(
        "the model has no chat template; it continues text (leave out --chat), or needs one in tokenizer_config.json"
    )]
    None,
    /// The template failed.
    #[error("the model's chat template failed: {0}")]
    Template(#[source] Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(role: &str, content: &str) -> Message {
        Message { role: role.into(), content: content.into() }
    }

    #[test]
    fn refusals_and_tokens_reach_the_template() {
        let config = r#"{"chat_template": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages[0]['content'].strip() }}", "bos_token": {"content": "<s>"}}"#;
        let template = ChatTemplate::from_config(config, None).unwrap();
        assert_eq!(template.render(&[say("user", " hi ")]).unwrap(), "<s>hi");
        let error = template.render(&[say("system", "be kind")]).unwrap_err();
        assert!(error.to_string().contains("no system"), "{error}");
        assert!(matches!(ChatTemplate::from_config("{}", None), Err(ChatError::None)));
    }

    #[test]
    fn system_texts_lead_the_first_user_turn() {
        let folded =
            fold_system(&[say("system", "Be brief."), say("user", "Hello"), say("user", "Again")]);
        assert_eq!(folded, [say("user", "Be brief.\n\nHello"), say("user", "Again")]);
        assert_eq!(fold_system(&[say("user", "x")]), [say("user", "x")]);
    }
}
