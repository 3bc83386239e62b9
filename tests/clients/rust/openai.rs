//! The async-openai crate against a server with an account under each policy.

use std::env;
use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::{ApiErrorResponse, OpenAIError};
use async_openai::types::chat::{
    ChatCompletionRequestUserMessageArgs, ChatCompletionStreamOptions, CreateChatCompletionRequest,
    CreateChatCompletionRequestArgs, CreateChatCompletionResponse,
    CreateChatCompletionStreamResponse, FinishReason,
};
use async_openai::types::completions::{CreateCompletionRequestArgs, CreateCompletionResponse};
use futures::StreamExt;
use serde_json::{Value, json};

const PROMPT: &str = "The ship came in, and";

fn key(policy: &str) -> String {
    env::var(format!("TOUCHMARK_KEY_{}", policy.to_uppercase())).unwrap()
}

fn with(key: &str) -> Client<OpenAIConfig> {
    let url = env::var("TOUCHMARK_URL").unwrap() + "/v1";
    Client::with_config(OpenAIConfig::new().with_api_base(url).with_api_key(key))
}

fn client(policy: &str) -> Client<OpenAIConfig> {
    with(&key(policy))
}

async fn model() -> String {
    client("off").models().list().await.unwrap().data.remove(0).id
}

async fn ask() -> CreateChatCompletionRequestArgs {
    let user = ChatCompletionRequestUserMessageArgs::default()
        .content("Tell me a story about the sea.")
        .build()
        .unwrap();
    let mut request = CreateChatCompletionRequestArgs::default();
    request.model(model().await).messages([user.into()]).max_completion_tokens(24u32);
    request
}

/// A chunk, and what this server adds to it.
#[derive(serde::Deserialize)]
struct Chunk {
    #[serde(flatten)]
    openai: CreateChatCompletionStreamResponse,
    watermark: Option<Value>,
}

fn refused(error: OpenAIError) -> ApiErrorResponse {
    match error {
        OpenAIError::ApiError(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_chat_answer_is_whole() {
    let request = ask().await.n(2).logprobs(true).top_logprobs(2).seed(3).build().unwrap();
    let answer: CreateChatCompletionResponse =
        client("default").chat().create(request).await.unwrap();
    assert_eq!(answer.choices.len(), 2);
    let usage = answer.usage.unwrap();
    assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    for choice in answer.choices {
        let tokens = choice.logprobs.unwrap().content.unwrap();
        let bytes = tokens.iter().flat_map(|token| token.bytes.clone().unwrap()).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), choice.message.content.unwrap());
        assert!(tokens.iter().all(|token| token.top_logprobs.len() == 2 && token.logprob <= 0.0));
        assert!(matches!(choice.finish_reason, Some(FinishReason::Stop | FinishReason::Length)));
    }
}

#[tokio::test]
async fn a_stream_is_the_answer_in_pieces() {
    let chat = client("required");
    let request = ask().await.seed(4).build().unwrap();
    let whole: Value = chat.chat().create_byot(request).await.unwrap();
    let options =
        ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None };
    let request = ask().await.seed(4).stream(true).stream_options(options).build().unwrap();
    let mut stream = chat
        .chat()
        .create_stream_byot::<CreateChatCompletionRequest, Chunk>(request)
        .await
        .unwrap();
    let (mut text, mut last) = (String::new(), None);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        text.extend(chunk.openai.choices.iter().filter_map(|choice| choice.delta.content.clone()));
        last = Some(chunk);
    }
    let last = last.unwrap();
    assert_eq!(text, whole["choices"][0]["message"]["content"]);
    let total = last.openai.usage.unwrap().total_tokens;
    assert_eq!(total, whole["usage"]["total_tokens"]);
    assert_eq!(last.watermark.unwrap(), whole["watermark"]);
    assert_eq!(whole["watermark"]["applied"], true);
}

#[tokio::test]
async fn a_completion_stops_where_it_is_told() {
    let ask = |stop: Option<String>| {
        let mut request = CreateCompletionRequestArgs::default();
        request.prompt(PROMPT).max_tokens(60u32).seed(5);
        if let Some(stop) = stop {
            request.stop(async_openai::types::chat::StopConfiguration::String(stop));
        }
        request
    };
    let model = model().await;
    let write = async |stop| -> CreateCompletionResponse {
        let request = ask(stop).model(&model).build().unwrap();
        client("off").completions().create(request).await.unwrap()
    };
    let text = write(None).await.choices.remove(0).text;
    let stop: String = text.chars().skip(text.chars().count() / 2).take(6).collect();
    let stopped = write(Some(stop.clone())).await.choices.remove(0).text;
    assert_eq!(Some(stopped.as_str()), text.split(stop.as_str()).next());
}

#[tokio::test]
async fn marks_follow_the_policy() {
    let model = model().await;
    for (policy, wish, outcome) in [
        ("off", None, Ok(false)),
        ("off", Some(true), Err("watermark_not_available")),
        ("opt_in", None, Ok(false)),
        ("opt_in", Some(true), Ok(true)),
        ("default", None, Ok(true)),
        ("default", Some(false), Ok(false)),
        ("required", None, Ok(true)),
        ("required", Some(false), Err("watermark_required")),
    ] {
        let mut body = json!({
            "model": model, "max_tokens": 24, "messages": [{"role": "user", "content": "Tell me of the sea."}],
            "ignore_eos": true,
        });
        if let Some(wish) = wish {
            body["watermarking"] = wish.into();
        }
        let answer: Result<Value, _> = client(policy).chat().create_byot(body).await;
        match outcome {
            Ok(applied) => assert_eq!(answer.unwrap()["watermark"]["applied"], applied, "{policy}"),
            Err(code) => {
                let error = refused(answer.unwrap_err());
                assert_eq!(error.status_code.as_u16(), 400);
                assert_eq!(error.api_error.code.as_deref(), Some(code));
            }
        }
    }
}

#[tokio::test]
async fn refusals_say_what_is_at_fault() {
    let request = async || ask().await;
    let of = async |client: Client<OpenAIConfig>, request: CreateChatCompletionRequestArgs| {
        let answer: Result<CreateChatCompletionResponse, _> =
            client.chat().create(request.build().unwrap()).await;
        let error = refused(answer.unwrap_err());
        (error.status_code.as_u16(), error.api_error.code, error.api_error.param)
    };
    let (status, code, _) = of(with("tmk-absent"), request().await).await;
    assert_eq!((status, code.as_deref()), (401, Some("invalid_api_key")));
    let mut unknown = request().await;
    unknown.model("absent");
    let (status, code, _) = of(client("off"), unknown).await;
    assert_eq!((status, code.as_deref()), (404, Some("model_not_found")));
    let mut hot = request().await;
    hot.temperature(3.0);
    let (status, _, param) = of(client("off"), hot).await;
    assert_eq!((status, param.as_deref()), (400, Some("temperature")));
}

#[tokio::test]
async fn a_stream_may_be_left() {
    let mut request = serde_json::to_value(ask().await.stream(true).build().unwrap()).unwrap();
    request["max_completion_tokens"] = 800.into();
    request["ignore_eos"] = true.into();
    let began = Instant::now();
    for _ in 0..20 {
        let mut stream = client("default")
            .chat()
            .create_stream_byot::<Value, Chunk>(request.clone())
            .await
            .unwrap();
        assert!(stream.next().await.unwrap().is_ok());
    }
    // A server that wrote on would not be free in this time.
    let whole: CreateChatCompletionResponse =
        client("default").chat().create(ask().await.build().unwrap()).await.unwrap();
    assert!(!whole.choices.is_empty());
    assert!(began.elapsed() < Duration::from_secs(60));
}
