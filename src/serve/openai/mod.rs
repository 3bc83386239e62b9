//! OpenAI's interface: conversations and completions.

mod asked;
mod choice;
mod form;
mod read;
mod request;
mod response;
pub(crate) mod route;
mod writing;

pub(crate) use asked::turns;
pub use asked::{Asked, Form, Given, Limited, Turn};
pub(crate) use read::{fields, object};
pub use request::{
    ChatMessage, ChatRequest, Common, CompletionRequest, Content, ContentPart, Prompt,
    ResponseFormat, Stop, StreamOptions, WatermarkWish,
};
pub use response::{
    Answer, AnswerMessage, ChatChoice, ChatChunk, ChatLogprob, ChatLogprobs, CompletionChoice,
    CompletionLogprobs, Delta, PromptTokens, TokenLogprob, Usage, WatermarkReport,
};
