"""LiteLLM as a client: prints what it gets of the gateway as one JSON object."""

import json
import os

import litellm

GIVEN = {
    "api_base": os.environ["BASE_URL"],
    "api_key": os.environ["KEY"],
    "messages": [{"role": "user", "content": "Hola"}],
    "num_retries": 0,
    "max_retries": 0,
}
error = None
try:
    litellm.completion(model="openai/broken", **GIVEN)
except litellm.exceptions.RateLimitError as caught:
    error = caught
plain = litellm.completion(model="openai/fast", **GIVEN)
chunks = litellm.completion(model="openai/fast", stream=True, **GIVEN)
print(
    json.dumps(
        {
            "plain": plain.choices[0].message.content,
            "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
            "error": type(error).__name__,
            "kind": "rate_limit" if error and "rate_limit" in str(error) else None,
        }
    )
)
