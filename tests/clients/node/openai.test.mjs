// The openai package against a server with an account under each policy.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const URL = process.env.TOUCHMARK_URL;
const key = (policy) => process.env[`TOUCHMARK_KEY_${policy.toUpperCase().replace("-", "_")}`];
const withKey = (apiKey) => new OpenAI({ apiKey, baseURL: `${URL}/v1`, maxRetries: 0 });
const client = (policy) => withKey(key(policy));

const messages = [{ role: "user", content: "Tell me a story about the sea." }];
const model = (await client("off").models.list()).data[0].id;
// An answer that ends by itself after a few tokens carries no mark; here all have their full length.
const whole = { model, max_tokens: 24, ignore_eos: true };
const chat = (policy, more = {}, options = {}) =>
  client(policy).chat.completions.create({ ...whole, messages, ...more }, options);
const completion = (policy, more = {}) =>
  client(policy).completions.create({ ...whole, prompt: "The ship came in, and", ...more });

const refusal = async (asked, status, fields = {}) => {
  const error = await asked.then(
    () => assert.fail("was answered"),
    (error) => error,
  );
  assert.ok(error instanceof OpenAI.APIError, `${error}`);
  assert.equal(error.status, status, `${error}`);
  for (const [name, value] of Object.entries(fields)) assert.equal(error[name], value, `${error}`);
};

const told = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
};

test("models are listed", async () => {
  assert.equal((await client("off").models.retrieve(model)).id, model);
  await refusal(client("off").models.retrieve("absent"), 404, { code: "model_not_found" });
});

test("a chat answer is whole", async () => {
  const answer = await chat("default", { n: 2, logprobs: true, top_logprobs: 2 });
  assert.equal(answer.object, "chat.completion");
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
  for (const { message, logprobs, finish_reason } of answer.choices) {
    assert.equal(message.role, "assistant");
    assert.ok(["stop", "length"].includes(finish_reason));
    assert.equal(Buffer.from(logprobs.content.flatMap((token) => token.bytes)).toString(), message.content);
    assert.ok(logprobs.content.every((token) => token.top_logprobs.length === 2));
  }
});

for (const policy of ["off", "required"]) {
  test(`a stream is the answer in pieces, under ${policy}`, async () => {
    const whole = await chat(policy, { seed: 6 });
    const chunks = await told(await chat(policy, { seed: 6, stream: true, stream_options: { include_usage: true } }));
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(chunks.at(-1).usage.total_tokens, whole.usage.total_tokens);
    assert.deepEqual(chunks.at(-1).watermark, whole.watermark);
    assert.equal(whole.watermark.applied, policy === "required");
    const plain = await completion(policy, { seed: 6 });
    const pieces = await told(await completion(policy, { seed: 6, stream: true }));
    assert.equal(pieces.map((chunk) => chunk.choices[0]?.text ?? "").join(""), plain.choices[0].text);
  });
}

test("the stream helper puts the answer together", async () => {
  const runner = client("default").chat.completions.stream({ ...whole, messages, seed: 6 });
  const content = await runner.finalContent();
  assert.equal(content, (await chat("default", { seed: 6 })).choices[0].message.content);
});

test("a stop ends the answer before it", async () => {
  const { text } = (await completion("required", { seed: 5, max_tokens: 60 })).choices[0];
  const stop = text.slice(text.length / 2, text.length / 2 + 6);
  const stopped = (await completion("required", { seed: 5, max_tokens: 60, stop })).choices[0];
  assert.deepEqual([stopped.text, stopped.finish_reason], [text.slice(0, text.indexOf(stop)), "stop"]);
});

test("a stream may be left", async () => {
  const stream = await chat("default", { stream: true, max_tokens: 800, ignore_eos: true });
  let seen = 0;
  for await (const _ of stream) if (++seen === 4) break;
  assert.ok(stream.controller.signal.aborted);
  const aborter = new AbortController();
  const asked = chat("required", { max_tokens: 800, ignore_eos: true }, { signal: aborter.signal });
  setTimeout(() => aborter.abort(), 200);
  await assert.rejects(asked, OpenAI.APIUserAbortError);
  assert.ok((await chat("default")).choices[0].message.content);
});

test("the policy decides about marks", async () => {
  const cases = [
    ["off", undefined, "policy_off"],
    ["off", true, { code: "watermark_not_available" }],
    ["opt-in", undefined, "not_requested"],
    ["opt-in", true, null],
    ["default", undefined, null],
    ["default", false, "opted_out"],
    ["required", undefined, null],
    ["required", false, { code: "watermark_required" }],
  ];
  for (const [policy, watermarking, outcome] of cases) {
    const asked = chat(policy, { watermarking });
    if (outcome?.code) {
      await refusal(asked, 400, { ...outcome, param: "watermark" });
    } else {
      const { applied, reason } = (await asked).watermark;
      assert.deepEqual([applied, reason], [outcome === null, outcome], policy);
    }
  }
});

test("what is marked is found", async () => {
  const answer = await chat("required", { max_tokens: 260, ignore_eos: true });
  const response = await fetch(`${URL}/v1/watermark/detect`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key("operator")}` },
    body: JSON.stringify({ text: answer.choices[0].message.content }),
  });
  assert.equal(response.status, 200);
  assert.equal((await response.json()).is_watermarked, true);
});

test("refusals say what is at fault", async () => {
  const create = (api, more) => api.chat.completions.create({ model, messages, max_tokens: 4, ...more });
  await refusal(create(withKey("sk-absent"), {}), 401, { code: "invalid_api_key" });
  await refusal(create(client("off"), { model: "absent" }), 404, { code: "model_not_found" });
  const tool = { type: "function", function: { name: "f", parameters: {} } };
  await refusal(create(client("off"), { tools: [tool] }), 400, { param: "tools" });
  await refusal(create(client("off"), { temperature: 3 }), 400, { param: "temperature" });
  await refusal(create(client("default"), { watermark: { key: "0".repeat(64) } }), 400);
  const huge = [{ role: "user", content: "a".repeat(6 << 20) }];
  await refusal(create(client("off"), { messages: huge }), 413);
});

test("a request keeps its name", async () => {
  const { response, request_id } = await chat("default", {}, { headers: { "x-request-id": "mine" } }).withResponse();
  assert.deepEqual([response.headers.get("x-request-id"), request_id], ["mine", "mine"]);
});
