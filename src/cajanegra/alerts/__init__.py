"""Tells operations what has begun to fail: on Slack, by a webhook, in the log."""
