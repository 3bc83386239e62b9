"""The openai package against a server with an account under each policy. Responses are validated strictly."""

import asyncio
import json
import math

import openai
import pytest

from server import KEYS, OPERATOR, POLICIES, URL, call, detect, metrics, wait_until

ASK = [{"role": "user", "content": "Tell me a story about the sea."}]
PROMPT = "The ship came in, and"
# Enough tokens to be found at 1e-6; the bundled model would often end sooner.
LONG = {"max_tokens": 260, "extra_body": {"ignore_eos": True}}


def client(policy, strict=True):
    settings = {"api_key": KEYS.get(policy, policy), "base_url": URL + "/v1", "max_retries": 0, "timeout": 60}
    return openai.OpenAI(**settings, _strict_response_validation=strict)


@pytest.fixture(scope="module")
def model():
    return client("off").models.list().data[0].id


def full(settings):
    """An answer that ends by itself after a few tokens carries no mark; here all have their full length."""
    return {**settings, "extra_body": {"ignore_eos": True, **settings.get("extra_body", {})}}


def chat(policy, model, **more):
    return client(policy).chat.completions.create(model=model, **full({"messages": ASK, "max_tokens": 24, **more}))


def completion(policy, model, **more):
    # In a stream, the reason of an answer that goes on is null, as OpenAI has it; the package's types know only its end.
    it = client(policy, strict=not more.get("stream"))
    return it.completions.create(model=model, **full({"prompt": PROMPT, "max_tokens": 24, **more}))


def deltas(stream):
    """Texts by choice, and all chunks."""
    texts, chunks = {}, list(stream)
    for chunk in chunks:
        for choice in chunk.choices:
            piece = choice.text if hasattr(choice, "text") else choice.delta.content
            texts[choice.index] = texts.get(choice.index, "") + (piece or "")
    return texts, chunks


def counts(usage):
    """Without the tokens that were not computed again, which depend on what was asked before."""
    return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens


# Models


def test_models_are_listed_and_told_of(model):
    listed = client("off").models.list().data
    assert [it.object for it in listed] == ["model"] * len(listed)
    assert client("off").models.retrieve(model).id == model
    with pytest.raises(openai.NotFoundError) as caught:
        client("off").models.retrieve("absent")
    assert caught.value.code == "model_not_found"


# Answers


def test_a_chat_answer_is_whole(model):
    answer = chat("default", model, user="someone", response_format={"type": "text"})
    [choice] = answer.choices
    assert (answer.object, answer.model, choice.index) == ("chat.completion", model, 0)
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert 0 < usage.completion_tokens <= 24 and usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_completion_is_whole(model):
    answer = completion("default", model)
    assert (answer.object, answer.model) == ("text_completion", model)
    assert answer.choices[0].text and answer.usage.completion_tokens <= 24
    assert len(completion("off", model, prompt=[PROMPT, "One morning"], n=2).choices) == 4


def test_content_may_come_in_parts(model):
    system = {"role": "system", "content": "You tell stories."}
    parts = [{"type": "text", "text": "Tell me a story "}, {"type": "text", "text": "about the sea."}]
    whole = chat("off", model, seed=3, messages=[system, *ASK]).choices[0].message.content
    assert chat("off", model, seed=3, messages=[system, {"role": "user", "content": parts}]).choices[0].message.content == whole
    developer = {"role": "developer", "content": "You tell stories."}
    assert chat("off", model, seed=3, messages=[developer, *ASK]).choices[0].message.content == whole


@pytest.mark.parametrize("policy", POLICIES)
def test_a_seed_chooses_the_answer(policy, model):
    text = lambda seed: chat(policy, model, seed=seed).choices[0].message.content
    assert text(7) == text(7)
    assert text(7) != text(8)


def test_several_answers_differ(model):
    for policy in ("off", "required"):
        choices = chat(policy, model, n=3, seed=1).choices
        assert [choice.index for choice in choices] == [0, 1, 2]
        assert len({choice.message.content for choice in choices}) == 3


def test_max_completion_tokens_is_the_newer_name(model):
    answer = chat("off", model, max_tokens=openai.omit, max_completion_tokens=5, extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 5 and answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("policy", ["off", "required"])
def test_a_stop_ends_the_answer_before_it(policy, model):
    text = completion(policy, model, seed=5, max_tokens=60).choices[0].text
    stop = text[len(text) // 2 : len(text) // 2 + 6]
    for stops in (stop, ["@@@@", stop]):
        choice = completion(policy, model, seed=5, max_tokens=60, stop=stops).choices[0]
        assert (choice.text, choice.finish_reason) == (text[: text.index(stop)], "stop")
        texts, _ = deltas(completion(policy, model, seed=5, max_tokens=60, stop=stops, stream=True))
        assert texts == {0: choice.text}


def test_penalties_change_the_answer(model):
    text = lambda **more: completion("off", model, seed=2, max_tokens=60, **more).choices[0].text
    assert text(frequency_penalty=2.0) != text()
    assert text(presence_penalty=2.0) != text()


# Log-probabilities


def test_chat_logprobs_are_complete(model):
    choice = chat("off", model, logprobs=True, top_logprobs=3, temperature=0, max_tokens=10).choices[0]
    tokens = choice.logprobs.content
    assert len(tokens) == 10
    for token in tokens:
        top = [it.logprob for it in token.top_logprobs]
        assert len(top) == 3 and top == sorted(top, reverse=True) and top[0] <= 0
        assert sum(map(math.exp, top)) <= 1 + 1e-4
        # Greedy: the likeliest was chosen.
        assert token.token == token.top_logprobs[0].token and token.logprob == top[0]
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == choice.message.content
    plain = chat("off", model, logprobs=True).choices[0].logprobs.content
    assert all(token.top_logprobs == [] for token in plain)


def test_logprobs_are_those_of_the_model_without_the_mark(model):
    more = {"logprobs": 5, "max_tokens": 12, "seed": 4, "extra_body": {"return_token_ids": True, "ignore_eos": True}}
    marked = completion("required", model, **more)
    assert marked.watermark["applied"]
    choice = marked.choices[0]
    status, _, body = call("/tokenize", {"prompt": PROMPT})
    assert status == 200, body
    ids = json.loads(body)["tokens"]
    logprobs = choice.logprobs
    assert len(logprobs.tokens) == len(choice.token_ids) == 12
    for at in (0, 3, 7, 11):
        prefix = ids + choice.token_ids[:at]
        plain = completion("off", model, prompt=prefix, logprobs=5, max_tokens=1, temperature=0)
        theirs, ours = plain.choices[0].logprobs.top_logprobs[0], logprobs.top_logprobs[at]
        for token, value in theirs.items():
            assert ours.get(token) == pytest.approx(value, abs=1e-3), (at, ours, theirs)


def test_streams_have_the_same_logprobs(model):
    settings = {"logprobs": True, "top_logprobs": 2, "seed": 9}
    whole = chat("off", model, **settings).choices[0].logprobs.content
    _, chunks = deltas(chat("off", model, **settings, stream=True))
    streamed = [token for chunk in chunks for choice in chunk.choices if choice.logprobs for token in choice.logprobs.content]
    assert [token.token for token in streamed] == [token.token for token in whole]
    assert [token.logprob for token in streamed] == pytest.approx([token.logprob for token in whole], abs=1e-3)


# Streams


@pytest.mark.parametrize("policy", POLICIES)
def test_a_stream_is_the_answer_in_pieces(policy, model):
    whole = chat(policy, model, seed=6, n=2)
    options = {"include_usage": True}
    texts, chunks = deltas(chat(policy, model, seed=6, n=2, stream=True, stream_options=options))
    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"} and len({chunk.id for chunk in chunks}) == 1
    reasons = {it.index: it.finish_reason for chunk in chunks for it in chunk.choices if it.finish_reason}
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert chunks[0].choices[0].delta.role == "assistant"
    last = chunks[-1]
    assert last.choices == [] and counts(last.usage) == counts(whole.usage)
    assert [chunk for chunk in chunks[:-1] if chunk.usage] == []
    assert last.watermark == whole.watermark


def test_without_include_usage_a_stream_has_none(model):
    _, chunks = deltas(chat("default", model, stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].watermark["applied"]


def test_completions_stream_too(model):
    whole = completion("default", model, seed=6)
    texts, chunks = deltas(completion("default", model, seed=6, stream=True, stream_options={"include_usage": True}))
    assert texts == {0: whole.choices[0].text} and counts(chunks[-1].usage) == counts(whole.usage)


def idle():
    """Whether no answer is being written."""
    load = metrics()
    return load["touchmark_sequences_running"] == load["touchmark_queue_depth"] == 0


def test_a_stream_may_be_left(model):
    with chat("default", model, stream=True, max_tokens=800, extra_body={"ignore_eos": True}) as stream:
        for _, chunk in zip(range(4), stream):
            assert chunk.object == "chat.completion.chunk"
    wait_until(idle, 5)


def test_many_may_leave_at_once(model):
    async def leave():
        settings = {"api_key": KEYS["required"], "base_url": URL + "/v1", "max_retries": 0}
        async with openai.AsyncOpenAI(**settings) as it:
            ask = lambda: it.chat.completions.create(
                model=model, messages=ASK, max_tokens=800, extra_body={"ignore_eos": True}
            )
            tasks = [asyncio.create_task(ask()) for _ in range(8)]
            await asyncio.sleep(0.5)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(it, asyncio.CancelledError) for it in ended), ended

    asyncio.run(leave())
    wait_until(idle, 5)
    assert chat("required", model).choices[0].message.content


# Marks

WISHES = {
    "nothing": {},
    "yes": {"watermarking": True},
    "no": {"watermarking": False},
    "object yes": {"watermark": {"enabled": True}},
    "object no": {"watermark": {"enabled": False}},
}
# What each policy makes of a wish: marked, unmarked for a reason, or refused with a code.
OUTCOMES = {
    "off": {"nothing": "policy_off", "yes": 400, "no": "policy_off"},
    "opt-in": {"nothing": "not_requested", "yes": True, "no": "opted_out"},
    "default": {"nothing": True, "yes": True, "no": "opted_out"},
    "required": {"nothing": True, "yes": True, "no": 400},
}


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_policy_decides(policy, wish, model):
    outcome = OUTCOMES[policy][wish.removeprefix("object ")]
    if outcome == 400:
        with pytest.raises(openai.BadRequestError) as caught:
            chat(policy, model, extra_body=WISHES[wish])
        codes = {"off": "watermark_not_available", "required": "watermark_required"}
        assert (caught.value.code, caught.value.param) == (codes[policy], "watermark")
        return
    settings = full({"model": model, "messages": ASK, "max_tokens": 24, "extra_body": WISHES[wish]})
    response = client(policy).chat.completions.with_raw_response.create(**settings)
    told = response.parse().watermark
    marked = outcome is True
    assert (told["applied"], told["reason"]) == (marked, None if marked else outcome)
    assert (told["tokens_marked"] > 0) == marked
    assert told["tokens_marked"] + told["tokens_skipped"] == response.parse().usage.completion_tokens
    assert response.headers["x-watermark"].startswith("applied" if marked else "none")


@pytest.mark.parametrize("policy", POLICIES)
def test_detection_agrees(policy, model):
    marked = OUTCOMES[policy]["nothing"] is True
    answer = chat(policy, model, **LONG)
    found = detect(answer.choices[0].message.content)
    assert found["is_watermarked"] == answer.watermark["applied"] == marked, found
    if marked:
        assert found["key_id"].endswith("/acme") == (policy == "required")
    texts, _ = deltas(completion(policy, model, stream=True, **LONG))
    assert detect(texts[0])["is_watermarked"] == marked


@pytest.mark.parametrize("sent", [{"key": "00" * 32}, {"enabled": True, "profil": "house"}, {"profile": "absent"}, True])
def test_wishes_are_strict(sent, model):
    with pytest.raises(openai.BadRequestError) as caught:
        chat("default", model, extra_body={"watermark": sent})
    assert caught.value.param.startswith("watermark")
    assert "0000" not in str(caught.value)


# Errors


def test_an_unknown_api_key_is_refused(model):
    for key in ("tmk-" + "0" * 64, "sk-anything"):
        with pytest.raises(openai.AuthenticationError) as caught:
            chat(key, model)
        assert caught.value.code == "invalid_api_key" and key not in str(caught.value)
    assert call("/v1/chat/completions", {"model": model, "messages": ASK}, key=None)[0] == 401


def test_an_unknown_model_is_not_found():
    with pytest.raises(openai.NotFoundError) as caught:
        chat("default", "absent")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("tools", [TOOL]),
        ("tool_choice", "auto"),
        ("functions", [{"name": "f", "parameters": {}}]),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}),
        ("logit_bias", {"5": 10}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("temperature", 5),
        ("top_p", 1.5),
        ("n", 0),
        ("n", 100_000),
        ("top_logprobs", 50),
        ("stop", [""]),
        ("frequency_penalty", 9),
        ("max_tokens", 0),
        ("messages", []),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]),
        ("messages", [{"role": "nobody", "content": "a"}]),
        ("stream_options", {"include_usage": True}),
    ],
)
def test_what_cannot_be_done_names_its_field(param, value, model):
    with pytest.raises(openai.BadRequestError) as caught:
        chat("default", model, **{param: value})
    assert (caught.value.param or "").startswith(param), caught.value
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize(("param", "value"), [("echo", True), ("suffix", "end"), ("best_of", 3), ("logprobs", 9), ("prompt", [])])
def test_so_it_is_with_completions(param, value, model):
    with pytest.raises(openai.BadRequestError) as caught:
        completion("default", model, **{param: value})
    assert (caught.value.param or "").startswith(param), caught.value


def test_fields_at_their_default_and_unknown_ones_are_let_through(model):
    harmless = {"tools": [], "tool_choice": "none", "logit_bias": {}, "unheard_of": 1}
    assert chat("default", model, extra_body=harmless).choices
    assert completion("default", model, echo=False, best_of=1, suffix=None).choices


def test_too_much_is_refused(model):
    with pytest.raises(openai.BadRequestError) as caught:
        chat("default", model, messages=[{"role": "user", "content": "word " * 5000}])
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.APIStatusError) as caught:
        chat("default", model, messages=[{"role": "user", "content": "a" * (6 << 20)}])
    assert caught.value.status_code == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"messages": 3}', b'{"model": {}, "messages": []}', b"null"])
def test_a_malformed_body_is_a_client_error(body):
    status, headers, answer = call("/v1/chat/completions", body, key=KEYS["default"])
    assert status in (400, 422) and b'"error"' in answer and headers["content-type"].startswith("application/json")


def test_a_request_keeps_its_name(model):
    settings = {"model": model, "messages": ASK, "max_tokens": 4}
    answers = client("default").chat.completions.with_raw_response
    named = answers.create(**settings, extra_headers={"x-request-id": "a-name-of-mine"})
    assert named.headers["x-request-id"] == "a-name-of-mine"
    drawn = {answers.create(**settings).headers["x-request-id"] for _ in range(2)}
    assert len(drawn) == 2 and all(drawn)
    with pytest.raises(openai.NotFoundError) as caught:
        chat("default", "absent", extra_headers={"x-request-id": "another"})
    assert caught.value.request_id == "another"


# The rest of the surface


def test_the_server_says_how_it_is():
    for path in ("/health", "/ready", "/info", "/openapi.json", "/docs", "/v1/watermark/profiles"):
        assert call(path)[0] == 200, path
    assert call("/absent")[0] == 404 and call("/v1/chat/completions")[0] == 405
    secrets = [key.encode() for key in (*KEYS.values(), OPERATOR)]
    for path in ("/info", "/metrics", "/openapi.json", "/v1/watermark/profiles"):
        assert not any(secret in call(path)[2] for secret in secrets), path
