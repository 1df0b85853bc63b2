// OpenAI's client for Node: prints what it gets of the gateway as one JSON object.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.KEY, maxRetries: 0 });
const asked = { model: "fast", messages: [{ role: "user", content: "Hola" }] };

const plain = await client.chat.completions.create(asked);
let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
}
let error;
try {
  await client.chat.completions.create({ ...asked, model: "broken" });
} catch (caught) {
  error = caught;
}
console.log(
  JSON.stringify({
    plain: plain.choices[0].message.content,
    streamed,
    error: error?.constructor?.name,
    kind: error?.error?.cajanegra?.kind,
  }),
);
