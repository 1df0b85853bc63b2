"""The gateway: OpenAI's wire format below ``/v1/``, with the record and the recovery behind it."""
