"""langchain-openai: prints what it gets of the gateway as one JSON object."""

import json
import os

import openai
from langchain_openai import ChatOpenAI


def model(name: str) -> ChatOpenAI:
    return ChatOpenAI(model=name, base_url=os.environ["BASE_URL"], api_key=os.environ["KEY"], max_retries=0)


error = None
try:
    model("broken").invoke("Hola")
except openai.APIStatusError as caught:
    error = caught
print(
    json.dumps(
        {
            "plain": model("fast").invoke("Hola").content,
            "streamed": "".join(str(chunk.content) for chunk in model("fast").stream("Hola")),
            "error": type(error).__name__,
            "kind": error.body["cajanegra"]["kind"] if error else None,  # type: ignore[index]
        }
    )
)
