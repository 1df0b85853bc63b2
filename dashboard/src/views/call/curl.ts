/** A call as a command: made again through the gateway where its prompt is known, else read from the record. */
import type { CallDetail } from "../../api/schema";

const KEY = `-H "Authorization: Bearer $CAJANEGRA_KEY"`;

export function curlOf(call: CallDetail, origin: string): string {
  if (call.prompt === null || call.prompt === undefined) {
    return `curl ${KEY} ${quoted(`${origin}/api/v1/ai/logs/${encodeURIComponent(call.request_id)}`)}`;
  }
  const messages = Array.isArray(call.prompt) ? call.prompt : [{ role: "user", content: call.prompt }];
  const body = {
    model: call.model_requested ?? call.provider_model,
    messages,
    ...(call.temperature !== null && { temperature: call.temperature }),
    ...(call.max_tokens !== null && { max_tokens: call.max_tokens }),
  };
  const headers = `${KEY} -H 'Content-Type: application/json'`;
  return `curl ${headers} ${quoted(`${origin}/v1/chat/completions`)} \\\n  -d ${quoted(JSON.stringify(body))}`;
}

/** Fit for a shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
